// The format is described in NumPy's documentation: numpy.lib.format.
#include <cstring>

#include "dump/dump.hpp"
#include "errc.hpp"

namespace troupe::apps {
namespace {

using runtime::DType;

/// "<f4": little-endian, kind, bytes.
std::string descriptor(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::bf16:
      return "<f4";
    case DType::f64:
      return "<f8";
    case DType::f16:
      return "<f2";
    case DType::i64:
      return "<i8";
    case DType::i32:
      return "<i4";
    case DType::i16:
      return "<i2";
    case DType::i8:
      return "|i1";
    case DType::u64:
      return "<u8";
    case DType::u32:
      return "<u4";
    case DType::u16:
      return "<u2";
    case DType::u8:
    case DType::f8e4m3:  // bytes that NumPy does not understand either
    case DType::f8e8m0:
    case DType::f4e2m1:
      return "|u1";
    case DType::boolean:
      return "|b1";
  }
  return {};
}

std::string widened(const std::string& bytes) {
  std::string out(bytes.size() / sizeof(runtime::BFloat16) * sizeof(float), '\0');
  for (std::size_t i = 0; i < out.size() / sizeof(float); ++i) {
    runtime::BFloat16 element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    const auto value = static_cast<float>(element);
    std::memcpy(out.data() + i * sizeof value, &value, sizeof value);
  }
  return out;
}

}  // namespace

Result<std::string> as_npy(const DumpEntry& entry, const std::string& bytes) {
  if (entry.truncated) {
    return Error(Errc::bad_file, "the elements of this tensor were not kept: the dump was full",
                 "dump less: troupe run … --dump-only NAME");
  }
  std::string shape;
  for (const auto extent : entry.shape) shape += std::to_string(extent) + ", ";
  std::string header =
      "{'descr': '" + descriptor(entry.dtype) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr std::size_t before = 10, alignment = 64;  // magic, version and length; where elements begin
  header.resize((before + header.size() + alignment) / alignment * alignment - before - 1, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xffU);
  file += static_cast<char>(header.size() >> 8U);
  return file + header + (entry.dtype == DType::bf16 ? widened(bytes) : bytes);
}

}  // namespace troupe::apps
