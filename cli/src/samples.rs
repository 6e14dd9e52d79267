//! Sample pictures to try autorma on: things of the five classes drawn as shapes, and a few files that are broken.

mod draw;
mod things;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use image::ImageFormat;

use crate::args::SamplesArgs;
use crate::output::print;
use draw::Canvas;
use things::THINGS;

/// `autorma samples`.
pub(crate) fn draw(args: &SamplesArgs) -> anyhow::Result<ExitCode> {
    let files = write(&args.folder, args.count)?;
    print(&format!("{files} files in {}\n", args.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Draws `count` pictures and a few broken files into `folder`. The same count gives the same files.
fn write(folder: &Path, count: usize) -> anyhow::Result<usize> {
    let failed = || format!("writing sample pictures into {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let mut last = Vec::new();
    for number in 0..count {
        let (name, draw) = THINGS[number % THINGS.len()];
        let mut canvas = Canvas::new(number as u64);
        draw(&mut canvas);
        let mut jpeg = Cursor::new(Vec::new());
        canvas.finish().write_to(&mut jpeg, ImageFormat::Jpeg)?;
        last = jpeg.into_inner();
        fs::write(folder.join(format!("{name}-{:02}.jpg", number / THINGS.len() + 1)), &last)
            .with_context(failed)?;
    }
    let broken = broken(&last);
    for (name, content) in &broken {
        fs::write(folder.join(name), content).with_context(failed)?;
    }
    Ok(count + broken.len())
}

/// What goes wrong with files in practice.
fn broken(jpeg: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    [
        ("broken-cut-off.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("broken-empty.jpg", Vec::new()),
        ("broken-error-page.jpg", b"<html><body>404 not found</body></html>".to_vec()),
        ("broken-too-large.png", enormous_png()),
    ]
}

/// A PNG whose header declares 50,000 × 50,000 pixels, of which hardly any follow.
fn enormous_png() -> Vec<u8> {
    let side = 50_000_u32.to_be_bytes();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(chunk(b"IHDR", &[&side[..], &side, &[8, 2, 0, 0, 0]].concat()));
    png.extend(chunk(b"IDAT", &[0x78, 0x9c]));
    png
}

/// A chunk of a PNG: length, name, content, check value.
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let checked = [name, content].concat();
    [&(content.len() as u32).to_be_bytes()[..], &checked, &crc32(&checked).to_be_bytes()].concat()
}

/// The check value of a PNG chunk (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}
