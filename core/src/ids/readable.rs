//! Ids, digests and instants in formats that people read: the text they are printed as. In
//! binary formats they are plain numbers and bytes, as ever.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, ExecutionId, PartitionId, RedriveId, ReplayId};
use crate::time::Timestamp;
use crate::trace::{SpanId, TraceId};

/// What binary formats hold of an execution's id.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ExecutionId")]
struct Plain {
    partition: PartitionId,
    digits: u128,
}

impl Serialize for ExecutionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        Plain { partition: self.partition, digits: self.digits }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExecutionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        let Plain { partition, digits } = Plain::deserialize(deserializer)?;
        Ok(Self { partition, digits })
    }
}

/// Ids that are one number.
macro_rules! readable_numbers {
    ($($id:ident of $number:ty),*) => {$(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                serializer.serialize_newtype_struct(stringify!($id), &self.0)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
                }
                <$number>::deserialize(deserializer).map(Self)
            }
        }
    )*};
}

readable_numbers!(ReplayId of u128, RedriveId of u128, TraceId of u128, SpanId of u64);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_newtype_struct("Digest", &self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return Self::parse(&text)
                .ok_or_else(|| D::Error::custom("a digest is 64 lower-case hex digits"));
        }
        <[u8; 32]>::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        // An instant beyond the calendar has no other text than its number.
        if serializer.is_human_readable() && Self::parse(&text) == Some(*self) {
            return serializer.serialize_str(&text);
        }
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(i64),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(us) => Ok(Self(us)),
            Written::Text(text) => Self::parse(&text)
                .ok_or_else(|| D::Error::custom(format!("`{text}` is not an instant in RFC 3339"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_reads_back() {
        fn check<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
            value: T,
            text: &str,
        ) {
            let written = serde_json::to_string(&value).expect("plain data");
            assert_eq!(written, text);
            assert_eq!(serde_json::from_str::<T>(&written).expect("it was written here"), value);
        }
        let run = ExecutionId { partition: PartitionId(1), digits: u128::MAX };
        check(run, &format!("\"{run}\""));
        check(ReplayId(7), &format!("\"{}\"", ReplayId(7)));
        check(RedriveId(7), &format!("\"{}\"", RedriveId(7)));
        check(TraceId(7), &format!("\"{}\"", TraceId(7)));
        check(SpanId(u64::MAX), "\"ffffffffffffffff\"");
        check(Digest::of(b"x"), &format!("\"{}\"", Digest::of(b"x")));
        check(Timestamp(-1_000_000), "\"1969-12-31T23:59:59.000000Z\"");
        check(Timestamp(i64::MAX), &i64::MAX.to_string());
        assert!(serde_json::from_str::<Digest>("\"00\"").is_err());
        assert!(serde_json::from_str::<Timestamp>("\"today\"").is_err());
    }
}
