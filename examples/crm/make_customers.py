#!/usr/bin/env python3
"""Makes customers.csv: 1,200 invented customers in the shape of a CRM export.

    python3 make_customers.py            writes customers.csv beside this file
    python3 make_customers.py --check    says whether customers.csv is current

The same seed gives the same bytes on every machine. Nobody in it is real:
e-mail addresses are under names reserved for examples (RFC 2606), people,
streets and companies are put together at random.

No value or customer id of nine or more bytes occurs in the catalog, the
policy or the roles beside it, so that a search of a data directory for these
values finds only what has leaked.
"""

import csv
import io
import pathlib
import random
import sys
import unicodedata

SEED = 20_260_401
CUSTOMERS = 1_200
HERE = pathlib.Path(__file__).resolve().parent
HEADER = [
    "customer_id", "given_name", "family_name", "email", "phone", "address",
    "postal_code", "city", "country", "birth_date", "company", "language",
    "lifetime_value", "notes",
]

# country; language; phone and postal code with # for a digit and @ for a
# letter; house number before or after the street; given names, family names,
# cities, streets. Where a name is not in Latin letters, its spelling for the
# e-mail address follows a colon.
PLACES = [
    ("DE", "de", "+49 30 23125 ###", "#####", "after",
     "Anna|Jürgen|Friederike|Maximilian|Sören|Käthe|Hans-Günther|Zoë",
     "Müller|Weiß|Schönfelder|von der Heide|Groß|Özdemir|Kowalczyk-Braun",
     "Köln|Düsseldorf|Gießen|München|Mönchengladbach",
     "Lindenstraße|Am Alten Gäßchen|Schloßallee|Kirchweg"),
    ("FR", "fr", "+33 1 99 00 ## ##", "750##", "before",
     "Élodie|François|Anaïs|Jean-Baptiste|Noël|Maëlys|Geneviève",
     "Lefèvre|D’Aubigné|Le Goff|Château|Beauséjour|N’Guyen",
     "Paris|Besançon|Saint-Étienne|Orléans",
     "rue de l’Église|boulevard Voltaire|impasse des Lilas|quai d’Orsay"),
    ("GB", "en-GB", "+44 20 7946 0###", "SW#@ #@@", "before",
     "Oliver|Siobhán|Alexandra|Christopher|Bronwen|Isla",
     "O’Connor|Featherstonehaugh|Llewellyn|St. John-Smythe|Ng",
     "London|Stoke-on-Trent|Llanfairpwllgwyngyll|Kingston upon Hull",
     "High Street|Old Mill Lane|The Crescent|Station Road"),
    ("US", "en-US", "+1 212 555 01##", "1####", "before",
     "Emily|Jamal|Guadalupe|Wyatt|Mackenzie|D'Andre|Xochitl",
     "Washington|McAllister|García-López|Running Bear|Szymanski|Li",
     "New York|Albuquerque|Winston-Salem|Truth or Consequences",
     "W 34th St|Martin Luther King Jr Blvd|Elm Ave, Apt 4B|County Road 12"),
    ("ES", "es", "+34 600 ### ###", "28###", "after",
     "María José|Íñigo|Begoña|Joaquín|Nuria|Ángel",
     "Núñez Álvarez|de la Peña|Ibáñez|Goikoetxea|Muñoz y Ortega",
     "Madrid|La Coruña|Cáceres|Logroño",
     "Calle Mayor|Avda. de la Constitución|Plaza del Ángel"),
    ("PT", "pt", "+351 21 155 ####", "1###-###", "after",
     "João|Conceição|Inês|Gonçalo|Leonor",
     "Guimarães|dos Santos|Assunção|Magalhães e Sá",
     "Lisboa|Évora|Guimarães do Sul|Póvoa de Varzim",
     "Rua da Fé|Travessa do Açougue|Largo de São João"),
    ("BR", "pt-BR", "+55 11 95555-####", "01###-###", "after",
     "Antônio|Luíza|Cauã|Thaís|Raimundo Nonato",
     "da Silva|Araújo|Gonçalves de Oliveira|Yamamoto|Brandão",
     "São Paulo|Brasília|Florianópolis|Goiânia",
     "Avenida Paulista|Rua das Laranjeiras|Alameda Santos, bloco B"),
    ("IT", "it", "+39 06 5550 ####", "001##", "after",
     "Niccolò|Giulia|Beatrice|Pierpaolo|Zaira",
     "D'Amico|De Sanctis|Pagliaricci|Esposito|Dell’Acqua",
     "Roma|Forlì|L’Aquila|San Giovanni Rotondo",
     "Via Garibaldi|Piazza dell’Unità|Vicolo Stretto"),
    ("PL", "pl", "+48 22 555 ## ##", "00-###", "after",
     "Łukasz|Małgorzata|Zdzisław|Świętosława|Grażyna",
     "Wiśniewski|Dąbrowska|Brzęczyszczykiewicz|Żółć|Kościuszko",
     "Łódź|Wrocław|Świnoujście|Zielona Góra",
     "ul. Źródlana|al. Jerozolimskie|ul. Świętokrzyska"),
    ("CZ", "cs", "+420 255 555 ###", "110 ##", "after",
     "Jiří|Bohumila|Vojtěch|Šárka|Přemysl",
     "Dvořák|Nováková|Říha|Šťastný|Žižková",
     "Praha|Plzeň|Ústí nad Labem|Příbram",
     "Náměstí Míru|Křižíkova|U Řeky"),
    ("SE", "sv", "+46 8 465 004 ##", "114 ##", "after",
     "Åsa|Björn|Göran|Märta|Örjan",
     "Söderström|Åkerlund|Lindqvist|Grön",
     "Göteborg|Malmö|Örnsköldsvik|Å",
     "Drottninggatan|Sveavägen|Ö Promenaden"),
    ("IS", "is", "+354 555 ####", "10#", "after",
     "Þórdís|Guðmundur|Ásgeir|Sólveig",
     "Jónsdóttir|Þorvaldsson|Sigurðardóttir|Ægisson",
     "Reykjavík|Kópavogur|Seyðisfjörður",
     "Laugavegur|Skólavörðustígur|Bárugata"),
    ("TR", "tr", "+90 212 555 ## ##", "34###", "after",
     "İbrahim|Gülşen|Çağla|Işıl|Ömer",
     "Yıldırım|Şahin|Büyükçekmeceli|Öğüt",
     "İstanbul|Diyarbakır|Eskişehir|Şanlıurfa",
     "Bağdat Caddesi|İstiklal Cd.|Çınar Sokağı"),
    ("VN", "vi", "+84 24 5555 ####", "1####0", "before",
     "Thị Hồng|Văn Đức|Ngọc Ánh|Quốc Việt",
     "Nguyễn|Trần|Đặng|Phạm Huỳnh",
     "Hà Nội|Đà Nẵng|Thành phố Hồ Chí Minh|Huế",
     "Đường Lê Lợi|Phố Hàng Bông|Ngõ Huyện"),
    ("RU", "ru", "+7 495 555-##-##", "101###", "after",
     "Александр:aleksandr|Наталья:natalya|Фёдор:fyodor|Ольга:olga|Святослав:svyatoslav",
     "Достоевский:dostoevsky|Щербакова:shcherbakova|Ковалёв:kovalev|Юй:yuy",
     "Москва|Санкт-Петербург|Нижний Новгород|Уфа",
     "ул. Ленина|Невский проспект|Большая Ордынка"),
    ("UA", "uk", "+380 44 555 ####", "010##", "after",
     "Олександра:oleksandra|Ґудзь:gudz|Їжакевич:yizhak|Тарас:taras",
     "Шевченко:shevchenko|Лесьєва:lesieva|Щур:shchur|Мар’яненко:marianenko",
     "Київ|Кам’янець-Подільський|Запоріжжя",
     "вул. Хрещатик|пров. Музейний|просп. Соборності"),
    ("GR", "el", "+30 21 0555 ####", "1## ##", "after",
     "Αικατερίνη:aikaterini|Γεώργιος:georgios|Ευαγγελία:evangelia|Ζωή:zoi",
     "Παπαδόπουλος:papadopoulos|Οικονόμου:oikonomou|Χατζηιωάννου:chatziioannou",
     "Αθήνα|Θεσσαλονίκη|Ηράκλειο",
     "Ερμού|Λεωφόρος Αμαλίας|Οδός Αριστοτέλους"),
    ("GE", "ka", "+995 32 255 ## ##", "01##", "after",
     "თამარი:tamari|გიორგი:giorgi|ნინო:nino|ქეთევანი:ketevani",
     "კვარაცხელია:kvaratskhelia|ბერიძე:beridze|ჭავჭავაძე:chavchavadze",
     "თბილისი|ქუთაისი|ბათუმი",
     "რუსთაველის გამზირი|აღმაშენებლის ქუჩა"),
    ("AM", "hy", "+374 10 55 ## ##", "00##", "after",
     "Անահիտ:anahit|Հովհաննես:hovhannes|Սիրանուշ:siranush",
     "Պետրոսյան:petrosyan|Մկրտչյան:mkrtchyan|Տեր-Ղազարյան:ter-ghazaryan",
     "Երևան|Գյումրի|Վանաձոր",
     "Մաշտոցի պողոտա|Աբովյան փողոց"),
    ("IL", "he", "+972 3 555 ####", "61#####", "after",
     "נֹעַה:noa|אברהם:avraham|יעל:yael|שמואל:shmuel",
     "כהן:cohen|בן־דוד:ben-david|רוזנצווייג:rosenzweig",
     "תל אביב-יפו|ירושלים|באר שבע",
     "רחוב דיזנגוף|שדרות רוטשילד|רח׳ הנביאים"),
    ("EG", "ar", "+20 2 2555 ####", "11###", "before",
     "محمد:mohamed|فاطمة الزهراء:fatma|عبد الرحمن:abdelrahman|ليلى:layla",
     "المصري:elmasry|حسنين هيكل:heikal|بن يوسف:benyoussef",
     "القاهرة|الإسكندرية|شرم الشيخ",
     "شارع طلعت حرب|كورنيش النيل|ميدان التحرير"),
    ("IR", "fa", "+98 21 5555 ####", "11#######", "before",
     "شیرین:shirin|کوروش:kourosh|مهسا:mahsa|پژمان:pezhman",
     "فردوسی‌پور:ferdosipour|ژاله‌زاده:zhalezadeh|گلستانی:golestani",
     "تهران|اصفهان|کرمانشاه",
     "خیابان ولیعصر|کوچهٔ بهار|میدان آزادی"),
    ("IN", "hi", "+91 11 5555 ####", "1100##", "before",
     "प्रियंका:priyanka|कृष्णमूर्ति:krishnamurti|ऋषि:rishi|आकांक्षा:akanksha",
     "शर्मा:sharma|चट्टोपाध्याय:chattopadhyay|श्रीवास्तव:srivastava",
     "नई दिल्ली|वाराणसी|भोपाल",
     "महात्मा गांधी मार्ग|चाँदनी चौक|राजपथ"),
    ("IN", "ta", "+91 44 5555 ####", "6000##", "before",
     "கார்த்திகேயன்:karthikeyan|மீனாட்சி:meenakshi|அருள்:arul",
     "சுப்பிரமணியம்:subramaniam|இளங்கோவன்:elangovan",
     "சென்னை|திருச்சிராப்பள்ளி|மதுரை",
     "அண்ணா சாலை|மேற்கு மாட வீதி"),
    ("TH", "th", "+66 2 055 ####", "10###", "before",
     "สมชาย:somchai|กุลธิดา:kunthida|ณัฐวุฒิ:nattawut",
     "ศรีสุวรรณ:srisuwan|วงศ์ประเสริฐ:wongprasert|แซ่ตั้ง:saetang",
     "กรุงเทพมหานคร|เชียงใหม่|นครราชสีมา",
     "ถนนสุขุมวิท|ซอยรางน้ำ|ถนนพระราม ๔"),
    ("CN", "zh-Hans", "+86 10 5555 ####", "1000##", "after",
     "小龙:xiaolong|晓明:xiaoming|雪:xue|子涵:zihan",
     "李:li|欧阳:ouyang|王:wang|诸葛:zhuge",
     "北京市|呼和浩特市|乌鲁木齐市",
     "长安街|南京路步行街|解放大道"),
    ("TW", "zh-Hant", "+886 2 5555 ####", "10###", "after",
     "雅婷:yating|俊傑:junjie|淑芬:shufen",
     "陳:chen|張簡:changchien|龔:kung",
     "臺北市|高雄市|新竹縣竹北市",
     "忠孝東路四段|羅斯福路|中正路１２３巷"),
    ("JP", "ja", "+81 3 5550 ####", "100-####", "after",
     "さくら:sakura|健太郎:kentaro|ひろみ:hiromi|アレクサンドラ:arekusandora",
     "佐藤:sato|長谷川:hasegawa|髙橋:takahashi|勅使河原:teshigawara",
     "東京都千代田区|京都市|さいたま市",
     "丸の内１丁目|銀座中央通り|ハイツさくら２０３"),
    ("KR", "ko", "+82 2 555 ####", "04###", "after",
     "서연:seoyeon|민준:minjun|하늘:haneul|지우:jiwoo",
     "김:kim|남궁:namgung|황보:hwangbo|이:lee",
     "서울특별시|부산광역시|세종",
     "세종대로|테헤란로|을지로3가"),
    ("ET", "am", "+251 11 555 ####", "1###", "after",
     "ሰላማዊት:selamawit|ተስፋዬ:tesfaye|ገብረመድኅን:gebremedhin",
     "ኃይለማርያም:hailemariam|ወልደጊዮርጊስ:woldegiorgis",
     "አዲስ አበባ|ባሕር ዳር|ድሬዳዋ",
     "ቦሌ መንገድ|የቸርችል ጎዳና"),
    ("NG", "yo", "+234 1 555 ####", "10####", "before",
     "Adébáyọ̀|Olúwaṣeun|Ẹniọlá|Chukwuemeka",
     "Adéyẹmí|Ọbásanjọ́|Okonkwo-Eze|Ṣóyínká",
     "Lagos|Ìbàdàn|Abẹ́òkúta",
     "Awólọ́wọ̀ Road|Broad Street|Bode Thomas Close"),
    ("NZ", "mi", "+64 9 555 ####", "10##", "before",
     "Aroha|Tāne|Ngaio|Wiremu",
     "Te Rangi Hīroa|Parāone|Ngāta|Wharekura",
     "Tāmaki Makaurau|Whangārei|Taumatawhakatangihangakoauauotamateaturipukakapikimaungahoronukupokaiwhenuakitanatahu",
     "Queen Street|Karangahape Rd|Ponsonby Terrace"),
]

FIRMS = [
    "Nordwind & Söhne GmbH", "Café «Zur Möwe», Inh. K. Lüders", "Quill, Ink & Paper Ltd.",
    "Ünlü Kardeşler A.Ş.", "株式会社はなまる製作所", "有限会社「星」", "上海晨光贸易有限公司",
    "ООО «Ромашка»", "شركة النخيل للتجارة", "חברת הזית בע״מ", "हिमालय ट्रेडर्स प्रा. लि.",
    "주식회사 한빛", "บริษัท ดอกบัว จำกัด", "Pâtisserie L’Étoile", "\"The Olde Shoppe\" Inc.",
    "Zażółć Gęślą Jaźń sp. z o.o.", "Βιβλιοπωλείο Η Αθηνά", "Big Bob's Tyres 🚗",
    "Müllers Mühle, Mehl & Mehr", "Ateliê Tamanduá", "Hafnarfjörður Fish ehf.",
    "Eleven O'Clock Radio", "a", "B2B4U",
]

NOTES = [
    "Prefers to be called in the morning, before 10.",
    "Rang twice about the blue teapot; it was the green one.",
    "Says \"never again\", comes back every spring.",
    "Allergic to our packing tape?! Ship in paper 📦",
    "Moved house in May,\nnew doorbell says \"Krüger/Ito\".\nLeave parcels with no. 14.",
    "VIP 👑 — ask for Ms. Abernathy first; knows the warehouse manager.",
    "ご連絡はメールでお願いします。電話は不可。",
    "Просит звонить только после шести вечера; собака громко лает 🐕",
    "لا ترسل الفاتورة إلى العنوان القديم",
    "נא לא לצלצל בפעמון בשבת",
    "चाय वाला ऑर्डर हर महीने की पहली तारीख को।",
    "Semicolons; commas, and a lone \" quote mark",
    "tab\there, trailing blanks kept   ",
    "=SUM(A1:A9) is what he typed into the form, no idea why",
    "<b>not</b> bold & not &amp; either",
    "Family emoji as signature: 👨‍👩‍👧‍👦 and a flag 🇺🇦",
    "e\u0301 written with a combining accent, unlike é",
    "null",
    "0",
    "-",
]

PASSAGE = [
    "Long conversation about the walnut table that arrived with three legs",
    "fourth leg found in the van, photograph sent, bouquet sent, all forgiven",
    "asked whether the varnish is safe for a parrot 🦜; the workshop says yes",
    "wants the same in cherry, in oak, and \"in whatever the parrot prefers\"",
    "der Papagei heißt Björn und mag kein Nußholz",
    "隣の家の猫も興味があるそうです",
    "a second table, round, for the garden, if the weather allows it",
]

# Letters that Unicode does not take apart into a plain one and a mark, and
# those that German spells with an e.
UNDECOMPOSED = {
    "ß": "ss", "Ł": "l", "ł": "l", "đ": "d", "Đ": "d", "Þ": "th", "þ": "th", "ð": "d",
    "Æ": "ae", "ı": "i", "Ö": "oe", "ö": "oe", "ü": "ue", "ä": "ae",
}


def spelled(name):
    """A name and its letters for an e-mail address."""
    native, _, latin = name.partition(":")
    latin = latin or native
    for letter, plain in UNDECOMPOSED.items():
        latin = latin.replace(letter, plain)
    latin = unicodedata.normalize("NFKD", latin)
    return native, "".join(c for c in latin.lower() if c.isascii() and c.isalnum())


def pattern(rng, text):
    digits = {"#": "0123456789", "@": "ABDEHJLNPRSTUWXYZ"}
    return "".join(rng.choice(digits[c]) if c in digits else c for c in text)


def long_note(rng, size):
    text = ""
    while len(text.encode()) < size:
        day = f"{rng.randrange(1, 29)}.{rng.randrange(1, 13)}."
        text += f"{day} {rng.choice(PASSAGE)}; {rng.choice(PASSAGE)}.\n"
    return text.rstrip()


def note(rng, number):
    if number % 400 == 17:
        return long_note(rng, 20_000)
    if number % 60 == 29:
        return long_note(rng, 1_500 + rng.randrange(4_000))
    if rng.random() < 0.35:
        return ""
    picked = rng.choice(NOTES)
    if rng.random() < 0.4:
        picked += f"\n(ref. {rng.randrange(16**8):08x})"
    return picked


def customer(rng, number):
    country, language, phone, postal, order, given, family, cities, streets = rng.choice(PLACES)
    given, given_latin = spelled(rng.choice(given.split("|")))
    family, family_latin = spelled(rng.choice(family.split("|")))
    if rng.random() < 0.03:
        given = f"{given} {rng.choice('ABCDEFGHJKLMNPRSTW')}."
    host = rng.choice(["mail.example", "post.example.org", "example.net", "brief.example.com"])
    join = rng.choice([".", "_", "-", "+crm."])
    email = f"{given_latin}{join}{family_latin}{number}@{host}"
    house = str(rng.randrange(1, 240)) + rng.choice(["", "", "", "a", "/2", "-B"])
    street = rng.choice(streets.split("|"))
    address = f"{house} {street}" if order == "before" else f"{street} {house}"
    if rng.random() < 0.05:
        address += f", 2nd floor \"left\", bell {rng.randrange(1, 40)}"
    birth = f"{rng.randrange(1934, 2013):04}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    if rng.random() < 0.01:
        birth = f"{rng.choice([1948, 1972, 1996, 2000, 2004])}-02-29"
    check = "".join(rng.choice("abcdefghkmnpqrstuvwxyz23456789") for _ in range(2))
    row = {
        "customer_id": f"crm-{number:08}-{check}",
        "given_name": given,
        "family_name": family,
        "email": email,
        "phone": pattern(rng, phone),
        "address": address,
        "postal_code": pattern(rng, postal),
        "city": rng.choice(cities.split("|")),
        "country": country,
        "birth_date": birth,
        "company": rng.choice(FIRMS) if rng.random() < 0.4 else "",
        "language": language,
        "lifetime_value": f"{rng.expovariate(1 / 900):.2f}",
        "notes": note(rng, number),
    }
    for field, share in (("phone", 0.08), ("birth_date", 0.06), ("postal_code", 0.03),
                         ("address", 0.03), ("lifetime_value", 0.02), ("given_name", 0.01)):
        if rng.random() < share:
            row[field] = ""
    return row


def config_files():
    return [HERE / "policy.cedar", HERE / "roles.toml", *sorted(HERE.glob("catalog/**/*.toml"))]


def refuse_words_of_the_configuration(rows):
    config = b"\0".join(path.read_bytes() for path in config_files())
    for row in rows:
        for field, value in row.items():
            value = value.encode()
            if len(value) >= 9 and value in config:
                sys.exit(f"{field} of {row['customer_id']} occurs in the configuration")


def main():
    rng = random.Random(SEED)
    rows = [customer(rng, number) for number in range(1, CUSTOMERS + 1)]
    refuse_words_of_the_configuration(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, HEADER, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    made = out.getvalue().encode()
    path = HERE / "customers.csv"
    if "--check" in sys.argv[1:]:
        sys.exit(None if path.read_bytes() == made else "customers.csv is not what this makes")
    path.write_bytes(made)
    print(f"{path.name}: {len(rows)} customers, {len(made)} bytes")


if __name__ == "__main__":
    main()
