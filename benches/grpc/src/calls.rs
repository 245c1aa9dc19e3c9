//! What the .proto file says, in Rust.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from storage.proto")]

tonic::include_proto!("storage.v1");
