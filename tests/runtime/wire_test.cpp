#include "troupe/runtime/wire.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

namespace {

using namespace troupe::runtime;
using Bytes = std::vector<std::byte>;

TaskArgs sample() {
  const Tensor tensor = Tensor::create({3, 1, 4096}, 1U << 16U, 256, {16, 32}, DType::f32).value();
  return TaskArgs::of(in(tensor), inout(tensor.slice(1, 8, 16)),
                      out(Tensor::unallocated({4, 4}, DType::bf16)), scalar(2.5F), scalar(~0ULL));
}

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  std::memcpy(bytes.data() + at, &value, width);
}

template <class T>
bool fails(const troupe::Result<T>& result, Errc code, std::string_view part = "") {
  if (result.has_value()) return false;
  INFO(result.error().what());
  CHECK(std::string(result.error().what()).find(part) != std::string::npos);
  return result.error() == code;
}

bool same(const TaskArgsView& a, const TaskArgsView& b) {
  return std::ranges::equal(a.tensors, b.tensors) && std::ranges::equal(a.tags, b.tags) &&
         std::ranges::equal(a.scalars, b.scalars);
}

TEST_CASE("arguments come back from their bytes, as a view and as a copy") {
  const TaskArgs args = sample();
  const Bytes bytes = wire::encode(args.view());
  CHECK(bytes.size() == 24 + 3 * 80 + 2 * 8 + 8);
  CHECK(bytes.size() == wire::encoded_size(args.view()));
  const auto view = wire::decode_view(bytes);
  REQUIRE(view.has_value());
  CHECK(same(*view, args.view()));
  CHECK(static_cast<const void*>(view->tensors.data()) == bytes.data() + 24);  // no copy
  CHECK(same(wire::decode(bytes).value().view(), args.view()));
  CHECK(wire::decode_view(wire::encode(TaskArgs().view())).value().size() == 0);
}

TEST_CASE("bytes after a message are left alone, and a message can be written into a given place") {
  const TaskArgs args = sample();
  Bytes bytes(1024, std::byte{0xAA});
  CHECK(wire::encode(args.view(), bytes).value() == wire::encoded_size(args.view()));
  CHECK(same(wire::decode_view(bytes).value(), args.view()));
  CHECK(bytes.back() == std::byte{0xAA});
  CHECK(fails(wire::encode(args.view(), std::span(bytes).first(100)), Errc::wire_truncated, "room for 100"));
}

TEST_CASE("a copy decodes at any alignment, a view says that it cannot") {
  const Bytes bytes = wire::encode(sample().view());
  Bytes shifted(bytes.size() + 1);
  std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
  CHECK(same(wire::decode(std::span(shifted).subspan(1)).value().view(), sample().view()));
  CHECK(fails(wire::decode_view(std::span(shifted).subspan(1)), Errc::misaligned));
}

TEST_CASE("every truncation is noticed") {
  const Bytes bytes = wire::encode(sample().view());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(fails(wire::decode_view(std::span(bytes).first(size)), Errc::wire_truncated));
    CHECK(fails(wire::decode(std::span(bytes).first(size)), Errc::wire_truncated));
  }
}

TEST_CASE("absurd counts and lengths are refused before they are used") {
  const Bytes good = wire::encode(sample().view());
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
    Bytes bytes = good;
    put(bytes, at, value, width);
    return wire::decode(bytes);
  };
  CHECK(fails(with(0, 0, 4), Errc::wire_version, "no encoded arguments"));
  CHECK(fails(with(4, 2, 2), Errc::wire_version, "version 2"));
  CHECK(fails(with(6, 1, 2), Errc::wire_malformed, "reserved"));
  CHECK(fails(with(8, 257, 4), Errc::too_many_tensors, "257"));
  CHECK(fails(with(8, 0xFFFFFFFF, 4), Errc::too_many_tensors, "4294967295"));
  CHECK(fails(with(12, 129, 4), Errc::too_many_scalars, "129"));
  CHECK(fails(with(12, 0xFFFFFFFF, 4), Errc::too_many_scalars));
  CHECK(fails(with(8, 256, 4), Errc::wire_malformed, "256 tensors"));
  CHECK(fails(with(16, ~0ULL, 8), Errc::wire_malformed));
  CHECK(fails(with(16, 0, 8), Errc::wire_malformed));
  CHECK(fails(with(good.size() - 1, 1, 1), Errc::wire_malformed, "padding"));
  CHECK(fails(wire::decode(good, {2, 16}), Errc::too_many_tensors, "at most 2"));
}

TEST_CASE("a bad tensor or tag inside the bytes is named by its argument") {
  const Bytes good = wire::encode(sample().view());
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
    Bytes bytes = good;
    put(bytes, at, value, width);
    return wire::decode(bytes);
  };
  const std::size_t second = 24 + 80;
  const std::size_t tags = good.size() - 8;
  CHECK(fails(with(second + 72, 200, 1), Errc::unknown_dtype, "tensor argument 1"));
  CHECK(fails(with(second + 73, 200, 1), Errc::invalid_shape, "tensor argument 1"));
  CHECK(fails(with(second + 32, 0xFFFFFFFF, 4), Errc::out_of_range, "tensor argument 1"));
  CHECK(fails(with(second + 24, ~0ULL, 8), Errc::size_overflow, "tensor argument 1"));
  CHECK(fails(with(tags + 2, 5, 1), Errc::unknown_tag, "tensor argument 2"));
  CHECK(fails(with(tags + 2, 0, 1), Errc::invalid_args, "tensor argument 2"));  // in, without memory
}

TEST_CASE("a call configuration comes back from its bytes, and bad bytes are refused") {
  CallConfig config;
  config.block_dim = 7;
  config.enable_dump_tensor = true;
  const Bytes good = wire::encode(config);
  CHECK(good.size() == wire::config_bytes);
  CHECK(wire::decode_config(good).value() == config);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK(fails(wire::decode_config(std::span(good).first(size)), Errc::wire_truncated));
  }
  const auto with = [&](std::size_t at, std::uint64_t value, std::size_t width) {
    Bytes bytes = good;
    put(bytes, at, value, width);
    return wire::decode_config(bytes);
  };
  CHECK(fails(with(0, 7, 4), Errc::wire_version));
  CHECK(fails(with(4, 9, 2), Errc::wire_version, "version 9"));
  CHECK(fails(with(8, 0, 4), Errc::invalid_call_config, "block_dim"));
  CHECK(fails(with(8, 0x80000000, 4), Errc::invalid_call_config));
  CHECK(fails(with(12, 1000, 4), Errc::invalid_call_config, "aicpu_thread_num"));
  CHECK(fails(with(16, 2, 1), Errc::wire_malformed, "flag"));
  CHECK(fails(with(17, 255, 1), Errc::wire_malformed, "flag"));
  CHECK(fails(with(18, 1, 1), Errc::invalid_call_config, "reserved"));
  CHECK(fails(with(20, 1, 1), Errc::wire_malformed, "padding"));
}

}  // namespace
