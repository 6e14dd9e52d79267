use image::RgbImage;

use crate::dice::Dice;

/// What red, green and blue add to how bright something looks (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Another brightness, contrast and saturation, each up to `most` away from 1; now and then the yellow or blue light of a
/// room.
pub(super) fn change(photo: &mut RgbImage, most: f32, dice: &mut Dice) {
    let mut factor = || dice.between(1.0 - most..1.0 + most);
    let (brightness, contrast, saturation) = (factor(), factor(), factor());
    let warmth = if dice.happens(0.3) { dice.between(0.8..1.2) } else { 1.0 };
    let cast = [warmth, 1.0, 1.0 / warmth];
    let bright = |pixel: [f32; 3]| pixel.iter().zip(LUMA).map(|(value, share)| value * share).sum::<f32>();
    let total: f32 = photo.pixels().map(|pixel| bright(pixel.0.map(f32::from))).sum();
    let mean = total / (photo.width() * photo.height()) as f32 * brightness;
    for pixel in photo.pixels_mut() {
        let lit = pixel.0.map(|value| (f32::from(value) * brightness - mean) * contrast + mean);
        let grey = bright(lit);
        let seen: [f32; 3] = std::array::from_fn(|i| (grey + (lit[i] - grey) * saturation) * cast[i]);
        pixel.0 = seen.map(|value| value.clamp(0.0, 255.0).round() as u8);
    }
}
