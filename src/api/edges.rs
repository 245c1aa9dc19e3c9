//! How associations are asked for and told: their types, and the way they lead.

use serde_json::{Map, Value};
use sutra_admin::{Asked, Code, Refusal};
use sutra_client::{AssociationKind, Direction};

/// The types that were asked for; none means all.
pub(crate) fn kinds(asked: &Asked) -> Result<Vec<AssociationKind>, Refusal> {
    asked.list("type")
}

/// The way that was asked for.
pub(crate) fn direction(asked: &Asked) -> Result<Direction, Refusal> {
    match asked.text("direction") {
        None | Some("both") => Ok(Direction::Both),
        Some("out") => Ok(Direction::Out),
        Some("in") => Ok(Direction::In),
        Some(other) => {
            let message = format!("direction is {other:?}; write out, in, or both");
            Err(Refusal::new(Code::BadRequest, message))
        }
    }
}

/// An association's fields.
pub(crate) fn fields(kind: u32, is_out: bool, confidence: f32) -> Map<String, Value> {
    let fields: [(&str, Value); 3] = [
        ("type", AssociationKind(kind).to_string().into()),
        ("direction", if is_out { "out" } else { "in" }.into()),
        ("confidence", shortest(confidence)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A number in the fewest digits that read back as the same, where as an f64 it would have 17.
pub(crate) fn shortest(number: f32) -> Value {
    number.to_string().parse::<f64>().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences_have_the_digits_that_they_were_given() {
        assert_eq!(shortest(0.1).to_string(), "0.1");
        let fields = Value::Object(fields(1, true, 0.7));
        assert_eq!(fields["type"], "causal");
        assert_eq!(
            (&fields["direction"], fields["confidence"].to_string()),
            (&"out".into(), "0.7".into())
        );
    }
}
