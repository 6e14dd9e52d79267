//! The `autorma` program.

mod samples;

fn main() -> anyhow::Result<()> {
    samples::write(std::path::Path::new("target/samples"), 40)?;
    Ok(())
}
