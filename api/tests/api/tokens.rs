//! Tokens as an issuer makes them, right and wrong ones.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// What HS256 tokens are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "backstitch";

/// An issuer with an RSA key and one of a curve.
pub struct Issuer {
    rsa: RsaKeyPair,
    curve: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let curve = curve.expect("a key");
        let curve =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, curve.as_ref(), &random);
        let rsa = RsaKeyPair::from_pkcs8(include_bytes!("keys/rsa.der")).expect("a key");
        Self { rsa, curve: curve.expect("a key"), random }
    }

    /// Its public keys.
    pub fn key_set(&self) -> Value {
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let point = self.curve.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256",
              "n": encode(&rsa.n), "e": encode(&rsa.e) },
            { "kty": "EC", "kid": "e", "use": "sig", "crv": "P-256",
              "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "oct", "kid": "o", "k": encode(b"a secret that everybody can read, so it is none") },
        ] })
    }

    /// The modulus, which everybody knows.
    pub fn modulus(&self) -> Vec<u8> {
        RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public()).n
    }

    pub fn rs256(&self, claims: &Value) -> String {
        self.rs256_with(&json!({ "alg": "RS256", "kid": "r" }), claims)
    }

    pub fn rs256_with(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            let signing = self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature);
            signing.expect("a signature");
            signature
        })
    }

    pub fn es256(&self, claims: &Value) -> String {
        signed(&json!({ "alg": "ES256", "kid": "e" }), claims, |message| {
            self.curve.sign(&self.random, message).expect("a signature").as_ref().to_vec()
        })
    }
}

/// Claims of somebody with some permissions, for an hour.
pub fn claims(subject: &str, permissions: &[&str]) -> Value {
    json!({
        "sub": subject, "iss": ISSUER, "aud": AUDIENCE, "permissions": permissions,
        "exp": now() + 3_600,
    })
}

/// Seconds since 1970.
pub fn now() -> i64 {
    backstitch_saga::clock::now().0 / 1_000_000
}

pub fn hs256(claims: &Value, secret: &[u8]) -> String {
    hs256_with(&json!({ "alg": "HS256", "typ": "JWT" }), claims, secret)
}

pub fn hs256_with(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    signed(header, claims, |message| ring::hmac::sign(&key, message).as_ref().to_vec())
}

/// A token with a signature of one's own.
pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = encode(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            let digit = (number >> (18 - 6 * at)) & 63;
            text.push(char::from(DIGITS[digit as usize]));
        }
    }
    text
}
