//! Compiles the protos with protox, so that no `protoc` is needed, and keeps the descriptor set for server reflection.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;

const ROOT: &str = "proto";
const PACKAGE: &str = "proto/agb/gateway/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::Compiler::new([ROOT])?
        .include_source_info(true)
        .include_imports(true)
        .open_files(proto_files()?)?
        .file_descriptor_set();
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out_dir.join("agb_gateway_descriptor.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}

fn proto_files() -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(PACKAGE)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(relative_to_root(&path));
        }
    }
    files.sort();
    Ok(files)
}

fn relative_to_root(path: &Path) -> PathBuf {
    path.strip_prefix(ROOT).unwrap_or(path).to_path_buf()
}
