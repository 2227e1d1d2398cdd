//! Project Wycheproof's vectors through the calls that the vault itself makes.

use super::super::chunks::OneUse;
use super::super::derive::Prk;
use super::super::{SUITE, VERSION, mac, message};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use hmac::digest::FixedOutput;
use hmac::{Hmac, Mac};
use sha2::Sha512;
use std::io::Read;
use wycheproof::TestResult;

fn hmac_sha512(key: &[u8], message: &[u8]) -> Vec<u8> {
    // Only the library's own keys are short enough to be padded.
    let mut state = if key.len() <= 128 {
        *Prk::padded(key).into_state()
    } else {
        Hmac::<Sha512>::new_from_slice(key).unwrap()
    };
    state.update(message);
    state.finalize_fixed().to_vec()
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut state = if key.len() <= 64 {
        mac::ready(key)
    } else {
        Hmac::new_from_slice(key).unwrap()
    };
    state.update(message);
    mac::finish(state).to_vec()
}

fn agrees_on_macs(name: wycheproof::mac::TestName, ours: fn(&[u8], &[u8]) -> Vec<u8>) -> usize {
    let mut run = 0;
    for group in &wycheproof::mac::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let mut tag = ours(&test.key, &test.msg);
            tag.truncate(group.tag_size / 8);
            let same = mac::same(&tag, &test.tag).is_ok();
            assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
            run += 1;
        }
    }
    run
}

#[test]
fn hmac_agrees_with_wycheproof() {
    use wycheproof::mac::TestName::{HmacSha256, HmacSha512};
    assert_eq!(agrees_on_macs(HmacSha256, hmac_sha256), 174);
    assert_eq!(agrees_on_macs(HmacSha512, hmac_sha512), 174);
}

#[test]
fn hkdf_sha512_agrees_with_wycheproof() {
    use wycheproof::hkdf::{TestName::HkdfSha512, TestSet};
    let mut run = 0;
    for group in &TestSet::load(HkdfSha512).unwrap().test_groups {
        for test in &group.tests {
            // The library never extracts: its parents are random keys.
            let prk = Prk::padded(&hmac_sha512(&test.salt, &test.ikm));
            let mut out = vec![0; test.size];
            if test.result == TestResult::Valid {
                prk.fill(&[&test.info], &mut out);
                assert_eq!(out, test.okm[..], "{}", test.tc_id);
            } else {
                assert!(test.size > super::super::derive::LONGEST, "{}", test.tc_id);
            }
            run += 1;
        }
    }
    assert_eq!(run, 83);
}

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    use wycheproof::aead::{TestName::AesGcm, TestSet};
    let (mut run, mut through_a_message) = (0, 0);
    for group in &TestSet::load(AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in &group.tests {
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let tag: [u8; 16] = test.tag[..].try_into().unwrap();
            let cipher = Aes256Gcm::new(test.key[..].try_into().unwrap());
            let mut plain = vec![0; test.ct.len()];
            let buffer = InOutBuf::new(&test.ct, &mut plain).unwrap();
            let opened =
                cipher.decrypt_inout_detached(&nonce.into(), &test.aad, buffer, &tag.into());
            assert_eq!(opened.is_ok(), test.result == TestResult::Valid);
            if opened.is_ok() {
                assert_eq!(plain, test.pt[..]);
                let buffer = InOutBuf::new(&test.pt, &mut plain).unwrap();
                let made = cipher.encrypt_inout_detached(&nonce.into(), &test.aad, buffer);
                assert_eq!(made.unwrap()[..], tag);
                assert_eq!(plain, test.ct[..]);
            }
            run += 1;
            if test.aad.is_empty() {
                let one_use = OneUse::of(cipher, nonce);
                let sealed = [&test.ct[..], &test.tag].concat();
                let opened = one_use.open(0, &sealed);
                assert_eq!(opened.is_ok(), test.result == TestResult::Valid);
                through_a_message += 1;
            }
        }
    }
    assert_eq!((run, through_a_message), (66, 48));
}

#[test]
fn cobblestone_256_agrees_with_wycheproof() {
    use wycheproof::chunked_encryption::{TestName::Cobblestone256, TestSet};
    let mut run = 0;
    for group in &TestSet::load(Cobblestone256).unwrap().test_groups {
        for test in &group.tests {
            let mut stored = vec![VERSION, SUITE];
            flate2::read::ZlibDecoder::new(&test.ct[..])
                .read_to_end(&mut stored)
                .unwrap();
            let Ok(mut key) = <[u8; 32]>::try_from(&test.key[..]) else {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                continue;
            };
            let key = crate::secret::Key32::take(&mut key);
            let opened = message::open(&key, &test.ctx, &stored);
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened.is_ok(), valid, "{}", test.tc_id);
            if let (Ok(plain), Some(length)) = (opened, test.msg_length) {
                assert_eq!(plain.expose().len(), length, "{}", test.tc_id);
                let digest = <Sha512 as sha2::Digest>::digest(plain.expose());
                assert_eq!(
                    Some(digest.to_vec()),
                    test.msg_sha512.as_ref().map(|d| d.to_vec())
                );
            }
            run += 1;
        }
    }
    assert_eq!(run, 33);
}
