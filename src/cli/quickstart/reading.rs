//! One customer, two readers: each sees what its purpose needs.

use super::crm::{self, Crm, cell};
use super::stage::{Stage, read};
use super::story::Story;
use crate::cli::record::fields_table;
use crate::cli::stop::Done;
use crate::cli::value;
use crate::pb;
use jiff::civil::Date;

fn shown(record: &pb::Record, field: &str) -> String {
    let field = record.fields.get(field);
    value::text(field.and_then(|field| field.value.as_ref()))
}

fn transform<'a>(record: &'a pb::Record, field: &str) -> &'a str {
    let field = record.fields.get(field);
    field.map_or("", |field| field.transform.as_str())
}

/// The support desk knows whom it talks to and can check a number, not dial it.
pub async fn support(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("The support desk answers a call");
    story.say(
        "acme/support-desk reads the customer for the purpose \"support\": enough to know whom\n\
         it talks to and to check a number, not enough to dial it.",
    );
    let desk = stage.caller("acme/support-desk").await?;
    let record = read(&desk, &crm::contact(&crm.known), "support", &[]).await?;
    story.show(&fields_table(&record));
    let name = cell(&crm.known, "given_name");
    story.check(
        shown(&record, "given_name") == name,
        "the given name is shown as it was written",
    );
    let phone = cell(&crm.known, "phone");
    let digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
    let last: String = digits.iter().rev().take(4).rev().collect();
    let masked = shown(&record, "phone");
    story.check(
        masked == format!("****{last}") && masked != phone,
        "of the phone number only the last four digits are left",
    );
    let withheld = ["birth_date", "address", "lifetime_value"];
    story.check(
        withheld
            .iter()
            .all(|field| !record.fields.contains_key(*field)),
        "birth date, address and lifetime value are not in the reply at all",
    );
    Ok(())
}

/// The recommender gets an age band and a city.
pub async fn recommender(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("The recommender looks for something that fits");
    story.say(
        "acme/recommender reads the same customer for the purpose \"personalization\". It gets\n\
         what it needs to recommend well, made from what it must not see.",
    );
    let recommender = stage.caller("acme/recommender").await?;
    let record = read(
        &recommender,
        &crm::contact(&crm.known),
        "personalization",
        &[],
    )
    .await?;
    story.show(&fields_table(&record));
    let birth_date = cell(&crm.known, "birth_date");
    let band = shown(&record, "birth_date");
    story.check(
        transform(&record, "birth_date") == "age_band" && fits(birth_date, &band),
        &format!("it sees the age band {band}, and the customer's age is in it"),
    );
    story.check(
        shown(&record, "city") == cell(&crm.known, "city"),
        "it sees the city",
    );
    let values = record.fields.values();
    let texts: Vec<String> = values
        .map(|field| value::text(field.value.as_ref()))
        .collect();
    story.check(
        texts.iter().all(|text| !text.contains(birth_date)),
        "the birth date is nowhere in the reply",
    );
    Ok(())
}

/// Whether somebody born on that day has an age in the band.
fn fits(birth_date: &str, band: &str) -> bool {
    let Ok(born) = birth_date.parse::<Date>() else {
        return false;
    };
    let (year, month, day) = crate::clock::Instant::now().day().civil();
    let had_birthday = (month, day) >= (i32::from(born.month()), i32::from(born.day()));
    let age = year - i32::from(born.year()) - i32::from(!had_birthday);
    let (from, to) = match band.split_once('-') {
        Some((from, to)) => (from, to),
        None => (band.trim_end_matches('+'), "999"),
    };
    matches!((from.parse::<i32>(), to.parse::<i32>()), (Ok(from), Ok(to)) if (from..=to).contains(&age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_fits_its_own_band_only() {
        let (year, month, day) = crate::clock::Instant::now().day().civil();
        let born = |age: i32| format!("{:04}-{month:02}-{:02}", year - age, day.min(28));
        assert!(fits(&born(30), "25-34") && fits(&born(80), "65+"));
        assert!(!fits(&born(36), "25-34") && !fits(&born(60), "65+"));
        assert!(!fits(&born(30), "") && !fits("", "25-34"));
    }
}
