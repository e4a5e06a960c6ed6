#include "troupe/actors/print.hpp"

#include <charconv>
#include <cstring>
#include <ostream>
#include <string>

#include "data/buffer.hpp"

namespace troupe::actors {
namespace {

using runtime::DType;

constexpr std::uint64_t all_shown = 64;  ///< elements; of more, only the ends of each dimension

template <class T>
std::string number(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  char text[32];
  std::to_chars_result end{};
  if constexpr (std::is_integral_v<T>) {
    end = std::to_chars(text, text + sizeof text, value);
  } else {
    end = std::to_chars(text, text + sizeof text, static_cast<double>(value), std::chars_format::general, 6);
  }
  return {text, end.ptr};
}

std::string element(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::f32:
      return number<float>(at);
    case DType::f64:
      return number<double>(at);
    case DType::f16:
      return number<runtime::Float16>(at);
    case DType::bf16:
      return number<runtime::BFloat16>(at);
    case DType::i64:
      return number<std::int64_t>(at);
    case DType::i32:
      return number<std::int32_t>(at);
    case DType::i16:
      return number<std::int16_t>(at);
    case DType::i8:
      return number<std::int8_t>(at);
    case DType::u64:
      return number<std::uint64_t>(at);
    case DType::u32:
      return number<std::uint32_t>(at);
    case DType::u16:
      return number<std::uint16_t>(at);
    case DType::u8:
    case DType::f8e4m3:  // bytes that only kernels understand
    case DType::f8e8m0:
    case DType::f4e2m1:
      return number<std::uint8_t>(at);
    case DType::boolean:
      return *at == std::byte{0} ? "false" : "true";
  }
  return "?";
}

void add_elements(const runtime::Tensor& tensor, std::size_t dim, const std::byte* at, bool all,
                  std::string& text) {
  if (dim == tensor.dims()) {
    text += element(tensor.dtype(), at);
    return;
  }
  const std::uint64_t extent = tensor.extent(dim);
  // The innermost dimension shows three at each end, the others fewer, so that five of them are a line still.
  const bool innermost = dim + 1 == tensor.dims();
  const std::uint64_t end = innermost ? 3 : tensor.dims() <= 2 ? 2 : 1;
  const bool cut = !all && extent > 2 * end + (innermost ? 1 : 0);
  text += '[';
  for (std::uint64_t i = 0; i < extent; ++i) {
    if (i != 0) text += ", ";
    if (cut && i == end) {
      text += "…, ";
      i = extent - end;
    }
    add_elements(tensor, dim + 1, at + i * tensor.stride(dim) * tensor.element_bytes(), all, text);
  }
  text += ']';
}

/// Why the elements cannot be shown where this stands, without waiting for anything; empty: they can.
std::string elsewhere(const runtime::Tensor& view, const Buffer* buffer) {
  if (buffer != nullptr && buffer->has_losses()) {
    const bool all = view.bytes() == buffer->bytes();
    const auto loss = buffer->loss_in(all ? whole_box(*buffer) : runtime::make_box(view));
    if (loss) return "lost: " + loss->message();
  }
  if (buffer != nullptr && buffer->kind() == Buffer::Kind::intermediate) {
    return "an intermediate of a program; node.read_all(x) has its elements";
  }
  if (const auto keeper = buffer != nullptr ? buffer->keeper() : nullptr) {
    return "its newest bytes are on a chip of " + keeper->path() + "; x.host<const T>() brings them";
  }
  if (view.host_address() != nullptr) return {};
  return view.allocated() ? "in the memory of a chip; node.read_all(x) has its elements"
                          : "without memory of its own";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.valid()) return out << "no tensor";
  const auto& view = tensor.description();
  std::string text = std::string(runtime::name_of(tensor.dtype())) + to_string(tensor.shape()) + " ";
  const Buffer* buffer = tensor.hold() ? tensor.hold()->buffer : nullptr;
  if (tensor.elements() == 0) {
    text += "without elements";
  } else if (const auto where = elsewhere(view, buffer); !where.empty()) {
    text += "(" + where + ")";
  } else {
    add_elements(view, 0, static_cast<const std::byte*>(view.host_address()), tensor.elements() <= all_shown,
                 text);
  }
  return out << text;
}

}  // namespace troupe::actors
