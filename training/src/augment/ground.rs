use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::dice::Dice;

/// Something to put an article on: a part of a scene more often than not, otherwise colours that flow into each other
/// with some noise, or what is nearly white.
pub(super) fn any(width: u32, height: u32, scenes: &[RgbImage], dice: &mut Dice) -> RgbImage {
    match dice.between(0.0..1.0) {
        kind if kind < 0.6 && !scenes.is_empty() => {
            let scene = &scenes[dice.below(scenes.len() as u32) as usize];
            imageops::resize(&super::crop(scene, 0.4, dice), width, height, FilterType::Triangle)
        }
        kind if kind < 0.85 => {
            let mut colour = || std::array::from_fn(|_| dice.between(20.0..250.0));
            let (from, to) = (colour(), colour());
            flowing(width, height, from, to, dice)
        }
        _ => {
            let mut pale = || [dice.between(205.0..256.0); 3];
            let (from, to) = (pale(), pale());
            flowing(width, height, from, to, dice)
        }
    }
}

/// From one colour to another in some direction.
fn flowing(width: u32, height: u32, from: [f32; 3], to: [f32; 3], dice: &mut Dice) -> RgbImage {
    let (across, down) = dice.between(0.0..std::f32::consts::TAU).sin_cos();
    let noise = dice.between(0.0..14.0);
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32 - 0.5, y as f32 / height as f32 - 0.5);
        let share = (0.5 + (x * across + y * down) / 1.5).clamp(0.0, 1.0);
        let grain = dice.between(-1.0..1.0) * noise;
        Rgb(std::array::from_fn(|i| (from[i] + (to[i] - from[i]) * share + grain).clamp(0.0, 255.0) as u8))
    })
}
