/// Writes compact JSON the way Python's `json.dump(…, indent=2)` does, `depth` levels deep. Numbers and texts stay as
/// they are, byte for byte: reading numbers and writing them again might change them.
pub(crate) fn pretty(compact: &[u8], mut depth: usize, into: &mut Vec<u8>) {
    let mut in_text = false;
    let mut bytes = compact.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            _ if in_text => {
                into.push(byte);
                match byte {
                    b'\\' => into.extend(bytes.next()),
                    b'"' => in_text = false,
                    _ => {}
                }
            }
            b'{' | b'[' => {
                into.push(byte);
                match bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(end) => into.push(end),
                    None => {
                        depth += 1;
                        new_line(depth, into);
                    }
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, into);
                into.push(byte);
            }
            b',' => {
                into.push(byte);
                new_line(depth, into);
            }
            b':' => into.extend_from_slice(b": "),
            _ => {
                in_text = byte == b'"';
                into.push(byte);
            }
        }
    }
}

/// Begins a line, `depth` levels deep.
pub(crate) fn new_line(depth: usize, into: &mut Vec<u8>) {
    into.push(b'\n');
    into.extend(std::iter::repeat_n(b' ', 2 * depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a-z"\\{}\[\],:\n é]{0,8}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(text, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_serde_would_write(value in json()) {
            let mut written = Vec::new();
            pretty(&serde_json::to_vec(&value).unwrap(), 0, &mut written);
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string_pretty(&value).unwrap());
        }
    }

    #[test]
    fn it_may_stand_inside_another_value() {
        let mut written = Vec::new();
        pretty(br#"{"a":[1.50,{}]}"#, 1, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), "{\n    \"a\": [\n      1.50,\n      {}\n    ]\n  }");
    }
}
