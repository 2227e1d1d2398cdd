//! Who gets in.

use crate::place::{Pki, Running, replace, tls_of};
use crate::raw::{hello_of_tls_1_2, shown_certificate};
use oubliette::serve::listener::Bounds;
use oubliette::serve::reload::Reload;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_client_with_a_good_certificate_is_served_under_its_name() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("an answer");
    assert_eq!(server.refused("handshake_failed"), 0);
    assert_eq!(*server.callers.lock().expect("no panic"), ["acme/desk"]);
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let mut stream = TcpStream::connect(server.address).await.expect("TCP");
    stream.write_all(&hello_of_tls_1_2()).await.expect("sent");
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.expect("an alert");
    // RFC 8446, 6: alert (21), two bytes: fatal (2), protocol_version (70).
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    let mut client = server.client(&pki, None).await;
    client.call().await.expect_err("refused");
    assert!(server.refused("handshake_failed") >= 1);
    assert!(server.callers.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_is_refused() {
    let (pki, foreign) = (Pki::new(), Pki::new());
    let server = Running::with(&pki, Bounds::default()).await;
    let mut client = server.client(&pki, Some(foreign.client())).await;
    client.call().await.expect_err("refused");
    assert!(server.refused("handshake_failed") >= 1);
    assert!(server.callers.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_certificate_that_expired_or_is_not_valid_yet_is_refused() {
    let pki = Pki::new();
    let server = Running::with(&pki, Bounds::default()).await;
    for (from, to) in [(2001, 2002), (2901, 2902)] {
        let odd = pki.odd_client(|params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        });
        let mut client = server.client(&pki, Some(odd)).await;
        client.call().await.expect_err("refused");
    }
    assert!(server.refused("handshake_failed") >= 2);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_the_others_are_not() {
    let pki = Pki::new();
    let numbered = |number: u64| {
        pki.odd_client(|params| params.serial_number = Some(SerialNumber::from(number)))
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2999, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(66),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&pki.issuer()).expect("a list");
    let path = pki.file("revoked.pem");
    fs::write(&path, list.pem().expect("PEM")).expect("written");
    let mut files = pki.files();
    files.crl = Some(path);
    let (tls, authn) = tls_of(files);
    let server = Running::start(tls, authn, Bounds::default()).await;
    let mut good = server.client(&pki, Some(numbered(65))).await;
    good.call().await.expect("not on the list");
    let mut revoked = server.client(&pki, Some(numbered(66))).await;
    revoked.call().await.expect_err("on the list");
    assert!(server.refused("handshake_failed") >= 1);
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart_and_open_connections_stay() {
    let (pki, next) = (Pki::new(), Pki::new());
    let (tls, authn) = tls_of(pki.files());
    let server = Running::start(tls.clone(), authn, Bounds::default()).await;
    let mut client = server.client(&pki, Some(pki.client())).await;
    client.call().await.expect("an answer");
    let before = shown_certificate(server.address, &pki).await;

    // Half of it is not taken, and what was there stays.
    replace(&next.file("server.pem"), &pki.file("server.pem"));
    let refused = tls.reload().expect_err("it is another key's certificate");
    assert!(
        refused.to_string().contains("does not belong to"),
        "{refused}"
    );
    assert!(refused.to_string().contains("server.key"), "{refused}");
    assert_eq!(shown_certificate(server.address, &pki).await, before);

    for file in [
        "server.key",
        "ca.pem",
        "clients/acme.desk.pem",
        "clients/acme.desk.key",
    ] {
        replace(&next.file(file), &pki.file(file));
    }
    let old_client = pki.client();
    tls.reload().expect("a whole set");
    let after = shown_certificate(server.address, &pki).await;
    assert_ne!(after, before);
    client.call().await.expect("the open connection stays");
    assert_eq!(old_client, next.client());

    fs::write(pki.file("server.pem"), "no certificate").expect("written");
    tls.reload().expect_err("no certificate");
    assert_eq!(shown_certificate(server.address, &pki).await, after);
}

#[test]
fn each_unusable_file_is_named_with_its_cure() {
    let pki = Pki::new();
    let refusal = |change: &dyn Fn(&mut oubliette::config::TlsFiles)| {
        let mut files = pki.files();
        change(&mut files);
        let authn = oubliette::authn::Authn::new("x").into();
        let refused = oubliette::serve::tls::Tls::load(files, authn).err();
        refused.expect("refused").to_string()
    };
    let none = pki.file("none.pem");
    for (message, name) in [
        (refusal(&|f| f.certificate = none.clone()), "none.pem"),
        (refusal(&|f| f.key = none.clone()), "none.pem"),
        (refusal(&|f| f.client_ca = none.clone()), "none.pem"),
        (refusal(&|f| f.crl = Some(none.clone())), "none.pem"),
        (refusal(&|f| f.key = f.certificate.clone()), "server.pem"),
        (refusal(&|f| f.certificate = f.key.clone()), "server.key"),
        (refusal(&|f| f.crl = Some(f.key.clone())), "server.key"),
    ] {
        assert!(message.contains(name), "{message}");
        assert!(
            !message.contains("BEGIN") && !message.contains("MII"),
            "{message}"
        );
    }
}
