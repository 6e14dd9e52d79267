//! Whether a network was quantized: what its manifest says, and what its graph shows.

use crate::Model;

/// How operators are called that have to do with integers in the place of floats, or how their names begin.
const OPERATORS: [&str; 7] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantize",
    "QLinear",
    "ConvInteger",
    "MatMulInteger",
    "MatMulNBits",
];
/// What an ONNX file has before the length of an operator's name: it is a node's field 4, and text.
const OPERATOR: u8 = 4 << 3 | 2;

impl Model {
    /// What shows that something was quantized and what from wasn't kept, so that nothing tells what the quantizing has cost:
    /// `int8` in the manifest or, as that may be mistaken, an operator of the graph.
    pub fn quantized_without_reference(&self) -> Option<&'static str> {
        let mut networks = self.manifest.members.iter().zip(&self.onnx);
        networks.find_map(|(member, onnx)| match (&member.reference, &*member.model.precision) {
            (Some(_), _) => None,
            (None, "int8") => Some("int8"),
            (None, _) => operator(onnx),
        })
    }
}

/// The first of these operators in an ONNX file. Its bytes are looked through as they are: that finds graphs within graphs,
/// too, and follows nothing that a hostile file could have.
fn operator(onnx: &[u8]) -> Option<&'static str> {
    onnx.split(|byte| *byte == OPERATOR).skip(1).find_map(|behind| {
        let (length, name) = behind.split_first()?;
        // No text that tells of an operator has so small a byte before it.
        let is_called = |begin: &&str| *length < b' ' && name.starts_with(begin.as_bytes());
        OPERATORS.into_iter().find(is_called)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::handmade;

    #[test]
    fn a_graph_of_integers_was_quantized_whatever_its_manifest_says() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped");
        let (mut model, reference) = Model::open_with_reference(&shipped).unwrap();
        assert_eq!(model.quantized_without_reference(), None, "it has one");
        assert_eq!(reference.unwrap().quantized_without_reference(), None, "it is in floats");
        model.manifest.members[0].reference = None;
        assert_eq!(model.quantized_without_reference(), Some("int8"));
        model.manifest.members[0].model.precision = "fp32".into();
        assert_eq!(model.quantized_without_reference(), Some("QuantizeLinear"));
    }

    #[test]
    fn only_what_a_node_computes_counts_and_not_what_it_is_called() {
        let node = |field: u8, text: &str| {
            let head = [b'x', field << 3 | 2, text.len() as u8];
            [&head[..], text.as_bytes(), b"x"].concat()
        };
        for name in ["DynamicQuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulNBits"]
        {
            let found = operator(&node(4, name));
            assert!(found.is_some_and(|begin| name.starts_with(begin)), "{name}: {found:?}");
            assert_eq!(operator(&node(3, name)), None);
        }
        assert_eq!(operator(&node(4, "Conv")), None);
        assert_eq!(operator(b"a text about \"a_QuantizeLinear\" and \"aQuantizeLinear\""), None);
        assert_eq!(operator(&handmade::quantized()), Some("QuantizeLinear"));
        for floats in [handmade::means(), handmade::fussy(), handmade::backbone(), handmade::nested(3, 2)] {
            assert_eq!(operator(&floats), None);
        }
    }
}
