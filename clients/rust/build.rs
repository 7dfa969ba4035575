//! Stubs from the protos, without a `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo::rerun-if-changed={root}");
    let services = [
        "context",
        "mapping_policy",
        "session",
        "sync_policy",
        "sync",
    ];
    let files = services.map(|name| format!("agb/gateway/v1/{name}_service.proto"));
    let descriptors = protox::compile(files, [root])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}
