//! What of ONNX's file format training reads and writes: messages of Protocol Buffers with the field numbers of
//! `onnx.proto3` (<https://onnx.ai/onnx/repo-docs/IR.html>). Fields that aren't here are lost when a file is read and
//! written again, so a backbone is refused that can't be run then ([`crate::graph::Backbone::runs`]).

use prost::Message;

/// The element type of 32-bit floats.
pub(crate) const FLOAT: i32 = 1;
/// Those of 8-bit integers, without and with a sign.
pub(crate) const UINT8: i32 = 2;
pub(crate) const INT8: i32 = 3;
/// And of 32-bit integers.
pub(crate) const INT32: i32 = 6;
/// The kind of an attribute that is one integer.
const INT: i32 = 2;
/// The kind of an attribute that is a list of integers.
const INTS: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(int64, tag = "1")]
    pub(crate) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(crate) producer_name: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) opset_import: Vec<Opset>,
    #[prost(message, repeated, tag = "14")]
    pub(crate) metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Opset {
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(crate) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(crate) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(crate) domain: String,
}

/// Attributes of numbers and texts; graphs within graphs aren't known here.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(float, tag = "2")]
    pub(crate) f: f32,
    #[prost(int64, tag = "3")]
    pub(crate) i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) s: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(crate) t: Option<Tensor>,
    #[prost(float, repeated, tag = "7")]
    pub(crate) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(crate) ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub(crate) kind: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub(crate) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(crate) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(crate) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(crate) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(crate) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) raw_data: Vec<u8>,
    /// Where the numbers lie outside of the file.
    #[prost(message, repeated, tag = "13")]
    pub(crate) external_data: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) kind: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(crate) tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(crate) elements: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(crate) dim: Vec<Dimension>,
}

/// A number, or a name for one that is known only when the graph runs.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dimension {
    #[prost(int64, tag = "1")]
    pub(crate) value: i64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number<'a> {
    One(i64),
    List(&'a [i64]),
}

impl Node {
    /// Named after what it computes, without attributes.
    pub(crate) fn of(operator: &str, inputs: &[&str], output: &str) -> Self {
        Self {
            op_type: operator.into(),
            name: output.into(),
            input: inputs.iter().map(|it| (*it).to_owned()).collect(),
            output: vec![output.into()],
            ..Self::default()
        }
    }

    /// Its attribute of this name that is one integer, if it has it.
    pub(crate) fn one(&self, attribute: &str) -> Option<i64> {
        self.attribute.iter().find(|it| it.name == attribute).map(|it| it.i)
    }

    pub(crate) fn with(mut self, attribute: &str, value: Number<'_>) -> Self {
        let (kind, i, ints) = match value {
            Number::One(value) => (INT, value, Vec::new()),
            Number::List(values) => (INTS, 0, values.to_vec()),
        };
        self.attribute.push(Attribute { name: attribute.into(), kind, i, ints, ..Attribute::default() });
        self
    }
}

impl Tensor {
    /// Of 32-bit floats.
    pub(crate) fn floats(name: &str, dims: &[usize], values: impl Iterator<Item = f32>) -> Self {
        Self::raw(name, dims, FLOAT, values.flat_map(f32::to_le_bytes).collect())
    }

    /// Of elements of this type, in the bytes of little-endian machines.
    pub(crate) fn raw(name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> Self {
        let dims = dims.iter().map(|size| *size as i64).collect();
        Self { name: name.into(), dims, data_type, raw_data, ..Self::default() }
    }

    /// Its numbers, if they are 32-bit floats and as many as its shape says.
    pub(crate) fn values(&self) -> Option<Vec<f32>> {
        let values = match self.float_data.is_empty() {
            true => {
                let (numbers, rest) = self.raw_data.as_chunks::<4>();
                rest.is_empty().then(|| numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())?
            }
            false => self.float_data.clone(),
        };
        let size = |product: usize, size: &i64| product.checked_mul(usize::try_from(*size).ok()?);
        let count = self.dims.iter().try_fold(1, size)?;
        (self.data_type == FLOAT && values.len() == count).then_some(values)
    }
}
