#include "ops/image_decoder.hpp"

#include <algorithm>
#include <optional>

#include "image/image.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

std::optional<data::Image> decoded(std::span<const uint8_t> bytes) {
  try {
    return data::decode_image(bytes, "input 0", data::sniff(bytes) == data::ImageFormat::tiff);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unreadable) throw;
    return std::nullopt;
  }
}

uint8_t grey(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

}  // namespace

Types ImageDecoder::infer(InferCtx& ctx) const {
  ctx.check(ctx.element(0) == ElementType::u8 || ctx.element(0) == ElementType::dynamic,
            std::string("wants bytes of type u8, got ") + name_of(ctx.element(0)));
  ctx.check(!ctx.shape(0).rank_known() || ctx.shape(0).rank() == 1,
            "bytes " + to_string(ctx.shape(0)) + " are not [N]");
  const int64_t channels = pixel_format == PixelFormat::grayscale ? 1 : 3;
  return {Type(ElementType::u8, PartialShape{Dimension(), Dimension(), Dimension(channels)})};
}
void ImageDecoder::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  if (x.rank() != 1 || x.element_type() != ElementType::u8) ctx.fail("wants the bytes of a file [N], of type u8");
  const int64_t channels = pixel_format == PixelFormat::grayscale ? 1 : 3;
  const auto image = decoded({x.data<uint8_t>(), x.size()});
  if (!image) {
    ctx.set_output(0, Tensor(ElementType::u8, {0, 0, channels}));
    return;
  }
  Tensor y = ctx.output(0, ElementType::u8, {image->height(), image->width(), channels});
  uint8_t* to = y.data<uint8_t>();
  const uint8_t* from = image->data();
  const int own = image->channels();
  for (size_t i = 0; i < y.size() / static_cast<size_t>(channels); ++i, from += own, to += channels) {
    if (pixel_format == PixelFormat::grayscale) {
      *to = own == 1 ? *from : grey(from);
    } else if (own == 1) {
      std::fill_n(to, 3, *from);
    } else if (pixel_format == PixelFormat::rgb) {
      std::copy_n(from, 3, to);
    } else {
      std::reverse_copy(from, from + 3, to);
    }
  }
}
Samples ImageDecoder::samples() {
  const auto file = [](std::string_view text) {
    return Tensor::of<uint8_t>({static_cast<int64_t>(text.size())},
                               std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  };
  const Tensor color = file("P3 2 1 255 10 20 30 255 0 7"), grey = file("P5\n# two rows\n1 2\n255\nAz");
  return {sample(ImageDecoder{}, {color}, {Tensor::of<uint8_t>({1, 2, 3}, {10, 20, 30, 255, 0, 7})}),
          sample(ImageDecoder{PixelFormat::bgr}, {color}, {Tensor::of<uint8_t>({1, 2, 3}, {30, 20, 10, 7, 0, 255})}),
          sample(ImageDecoder{PixelFormat::grayscale}, {color}, {Tensor::of<uint8_t>({1, 2, 1}, {18, 77})}),
          sample(ImageDecoder{}, {grey}, {Tensor::of<uint8_t>({2, 1, 3}, {65, 65, 65, 122, 122, 122})}),
          sample(ImageDecoder{PixelFormat::grayscale}, {file("no picture")}, {Tensor(ElementType::u8, {0, 0, 1})})};
}
HONE_DEFINE_OP(ImageDecoder)

}  // namespace hone
