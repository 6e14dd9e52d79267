//! Photos as they might have been taken too. Studio photos are nearly all on white, which makes white a shortcut to the
//! classes: cut out and put before something else, an article has to be known by itself.

mod cutout;
mod ground;
mod light;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};

use crate::dice::Dice;
use crate::recipe::Augmentation;
use cutout::Cutout;

/// The shorter side of a photo while things are done to it, in pixels.
pub(crate) const SIDE: u32 = 320;
/// Proportions that photos are taken in, width to height.
const PROPORTIONS: [(u32, u32); 3] = [(3, 4), (4, 3), (1, 1)];
/// The longest side that a JPEG file can have, in pixels.
const LONGEST: u32 = u16::MAX as u32;
/// The strongest shrinking, in pixels of the shorter side.
const SMALLEST: f32 = 80.0;

/// One variation of `photo` as a JPEG file. What is cut out is pasted before one of the `scenes`, or a made-up ground.
pub(crate) fn vary(
    photo: &RgbImage,
    recipe: &Augmentation,
    scenes: &[RgbImage],
    dice: &mut Dice,
) -> Result<Vec<u8>, String> {
    let photo = unsquash(photo, recipe);
    let pasted = if dice.happens(recipe.paste) { paste(&photo, recipe, scenes, dice) } else { None };
    let mut photo = crop(&pasted.unwrap_or(photo), recipe.crop, dice);
    if dice.happens(0.5) {
        imageops::flip_horizontal_in_place(&mut photo);
    }
    light::change(&mut photo, recipe.light, dice);
    if dice.happens(0.2) {
        photo = imageops::fast_blur(&photo, dice.between(0.3..1.8));
    }
    if dice.happens(0.3) {
        photo = shrink(&photo, dice.between(SMALLEST..SIDE as f32));
    }
    if photo.width().max(photo.height()) > LONGEST {
        photo = imageops::crop_imm(&photo, 0, 0, LONGEST, LONGEST).to_image();
    }
    let qualities = u32::from(recipe.best_jpeg - recipe.worst_jpeg) + 1;
    let quality = recipe.worst_jpeg + dice.below(qualities) as u8;
    let mut file = Vec::new();
    let written = JpegEncoder::new_with_quality(&mut file, quality).encode_image(&photo);
    written.map_err(|error| error.to_string())?;
    Ok(file)
}

/// In the proportions that a square photo had before it was squashed.
fn unsquash(photo: &RgbImage, recipe: &Augmentation) -> RgbImage {
    let (width, height) = photo.dimensions();
    if width != height || recipe.square_was == 1.0 {
        return photo.clone();
    }
    let (width, height) = if recipe.square_was < 1.0 {
        (width, (height as f32 / recipe.square_was).round() as u32)
    } else {
        ((width as f32 * recipe.square_was).round() as u32, height)
    };
    imageops::resize(photo, width, height, FilterType::Triangle)
}

/// The article on another ground; None if it can't be told from its own.
fn paste(photo: &RgbImage, recipe: &Augmentation, scenes: &[RgbImage], dice: &mut Dice) -> Option<RgbImage> {
    let mut article = Cutout::of(photo)?;
    article.cut_off(recipe.cut_off, dice);
    let (across, down) = PROPORTIONS[dice.below(PROPORTIONS.len() as u32) as usize];
    let shorter = across.min(down);
    let mut ground = ground::any(SIDE * across / shorter, SIDE * down / shorter, scenes, dice);
    article.paste(&mut ground, recipe.smallest..recipe.largest, recipe.turn, dice);
    Some(ground)
}

/// Any part of the photo that has at least `least` of each side.
fn crop(photo: &RgbImage, least: f32, dice: &mut Dice) -> RgbImage {
    let (whole_width, whole_height) = photo.dimensions();
    let mut part = |whole: u32| ((whole as f32 * dice.between(least..1.0)) as u32).clamp(1, whole);
    let (width, height) = (part(whole_width), part(whole_height));
    let (x, y) = (dice.below(whole_width - width + 1), dice.below(whole_height - height + 1));
    imageops::crop_imm(photo, x, y, width, height).to_image()
}

/// As a poor camera would have taken it: its shorter side has `side` pixels, unless it has fewer anyway.
fn shrink(photo: &RgbImage, side: f32) -> RgbImage {
    let (width, height) = photo.dimensions();
    let factor = (side / width.min(height) as f32).min(1.0);
    let size = |size: u32| ((size as f32 * factor).round() as u32).max(1);
    imageops::resize(photo, size(width), size(height), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A red article on white, of 40 × 60 pixels in 112 × 112.
    fn studio() -> RgbImage {
        RgbImage::from_fn(112, 112, |x, y| {
            let is_article = (36..76).contains(&x) && (26..86).contains(&y);
            Rgb(if is_article { [200, 20, 30] } else { [255, 255, 255] })
        })
    }

    fn scenes() -> Vec<RgbImage> {
        vec![RgbImage::from_pixel(SIDE, SIDE, Rgb([20, 60, 200]))]
    }

    #[test]
    fn a_variation_depends_on_its_dice_alone() {
        let recipe = Augmentation::default();
        let vary = |copy| vary(&studio(), &recipe, &scenes(), &mut Dice::new(1, b"photo", copy)).unwrap();
        assert_eq!(vary(1), vary(1));
        let all: std::collections::BTreeSet<_> = (1..30).map(vary).collect();
        assert_eq!(all.len(), 29);
        for file in all {
            let photo = image::load_from_memory(&file).unwrap().into_rgb8();
            assert!(photo.width() >= 50 && photo.height() >= 50 && photo.pixels().any(|it| it[0] > it[1]));
        }
    }

    #[test]
    fn a_photo_that_is_longer_than_a_jpeg_file_is_cut() {
        let recipe = Augmentation { paste: 0.0, crop: 1.0, ..Augmentation::default() };
        let long = RgbImage::from_fn(LONGEST + 9, 40, |x, y| Rgb([x as u8, y as u8, 90]));
        let file = vary(&long, &recipe, &[], &mut Dice::new(1, b"photo", 1)).unwrap();
        assert_eq!(image::load_from_memory(&file).unwrap().into_rgb8().dimensions(), (LONGEST, 40));
    }

    #[test]
    fn a_studio_article_gets_its_proportions_back_and_then_another_ground() {
        let recipe = Augmentation::default();
        let whole = unsquash(&studio(), &recipe);
        assert_eq!(whole.dimensions(), (112, 149));
        let mut blue = 0;
        for copy in 0..30 {
            let pasted = paste(&whole, &recipe, &scenes(), &mut Dice::new(1, b"", copy)).unwrap();
            let count = |is: fn(&Rgb<u8>) -> bool| pasted.pixels().filter(|it| is(it)).count();
            assert!(count(|it| it[0] > 150 && it[1] < 60) > 1000, "the article isn't there in copy {copy}");
            blue += usize::from(count(|it| it[2] > 150 && it[0] < 60) > 1000);
        }
        assert!((5..30).contains(&blue), "{blue} of 30 before the scene");
    }

    #[test]
    fn what_isn_t_on_white_stays_where_it_is() {
        let dark = RgbImage::from_fn(112, 112, |x, y| Rgb([x as u8, y as u8, 90]));
        assert!(paste(&dark, &Augmentation::default(), &scenes(), &mut Dice::new(1, b"", 0)).is_none());
        let white = RgbImage::from_pixel(112, 112, Rgb([255; 3]));
        assert!(paste(&white, &Augmentation::default(), &scenes(), &mut Dice::new(1, b"", 0)).is_none());
    }
}
