//! Certificates are read as they were made, and whatever else comes does no harm.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn name_purposes_and_constraints_are_those_that_it_was_made_with() {
    let der = made(|params| {
        params.distinguished_name.push(DnType::CommonName, "Plant\n Größe");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::Other(vec![1, 2, 3]),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        let mut odd = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions = vec![odd];
    });
    let read = X509::read(&der).unwrap();
    assert_eq!(read.version, 3);
    assert!(!read.name().contains('\n') && read.name().contains("Größe"), "{}", read.name());
    assert!(read.is_self_issued() && read.has_alternative_names());
    assert_eq!(read.is_authority(), Some(false));
    assert_eq!(read.purposes(), ["clientAuth", "1.2.3"]);
    assert_eq!(read.unknown_critical().as_deref(), Some("1.2.3.4"));
    assert_eq!((read.weak_hash(), rsa_bits(read.key)), (None, None));

    let der = made(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names.clear();
    });
    let read = X509::read(&der).unwrap();
    assert_eq!((read.is_authority(), read.has_alternative_names()), (Some(true), false));
    assert_eq!((read.purposes().len(), read.unknown_critical()), (0, None));
}

#[test]
fn the_size_of_an_rsa_key_is_read_in_either_form() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let read = X509::read(&der).unwrap();
    assert_eq!(rsa_bits(read.key), Some(2_048));
    assert_eq!(rsa_bits(element(read.key, SEQUENCE).unwrap().0), Some(2_048));
}

#[test]
fn every_truncation_and_every_flipped_byte_is_survived() {
    let der = made(|_| {});
    let look = |der: &[u8]| {
        if let Some(read) = X509::read(der) {
            let _ = (read.name(), read.purposes(), read.unknown_critical(), read.is_authority());
            let _ = (read.weak_hash(), rsa_bits(read.key), read.has_alternative_names());
        }
    };
    for index in 0..der.len() {
        look(&der[..index]);
        for bits in [0x80, 0xff, 0x01] {
            let mut damaged = der.clone();
            damaged[index] ^= bits;
            look(&damaged);
        }
    }
}
