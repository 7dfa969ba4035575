//! Compiles the protos with protox, so that no `protoc` is needed, and keeps the descriptor sets for server reflection: one for callers
//! and one for operators, so that neither port tells of the other's services.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;

const ROOT: &str = "proto";
/// The folder of each package, and the file of its descriptor set.
const PACKAGES: [(&str, &str); 2] = [
    ("proto/agb/gateway/v1", "agb_gateway_descriptor.bin"),
    (
        "proto/agb/gateway/admin/v1",
        "agb_gateway_admin_descriptor.bin",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    for (folder, descriptor_file) in PACKAGES {
        let descriptors = protox::Compiler::new([ROOT])?
            .include_source_info(true)
            .include_imports(true)
            .open_files(proto_files(folder)?)?
            .file_descriptor_set();
        fs::write(out_dir.join(descriptor_file), descriptors.encode_to_vec())?;
        tonic_prost_build::configure()
            .btree_map(".")
            .compile_fds(descriptors)?;
    }
    Ok(())
}

fn proto_files(folder: &str) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
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
