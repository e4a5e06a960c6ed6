#include "troupe/runtime/kernel_abi.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "troupe/runtime/comm_context.hpp"

namespace {

using namespace troupe::runtime;

/// A number at a byte offset, as a foreign kernel reads it.
template <class T>
T at(const void* object, std::size_t offset) {
  T value{};
  std::memcpy(&value, static_cast<const char*>(object) + offset, sizeof value);
  return value;
}

Tensor sample() {
  return Tensor::create({1, 1, 0x10000}, 8192, 256, {8, 16, 4}, DType::f32).value().slice(1, 4, 8).rows(2, 5);
}

TEST_CASE("a tensor descriptor has each field where foreign kernels look for it") {
  const TensorDescriptor descriptor = describe(sample(), 0xABCD000, AddressSpace::device, Tag::no_dep, 42);
  CHECK(sizeof descriptor == 128);
  CHECK(alignof(TensorDescriptor) == 64);
  CHECK(at<std::uint64_t>(&descriptor, 0) == 0xABCD000);
  CHECK(at<std::uint64_t>(&descriptor, 8) == 8192);
  CHECK(at<std::uint64_t>(&descriptor, 16) == 42);
  CHECK(at<std::uint64_t>(&descriptor, 24) == 64 + 2 * 64 + 4 * 4);
  CHECK(at<std::int32_t>(&descriptor, 32) == 0);
  CHECK(at<std::uint32_t>(&descriptor, 36) == 3);
  CHECK(at<std::uint8_t>(&descriptor, 40) == 0);
  CHECK(at<std::uint8_t>(&descriptor, 41) == 1);  // manual_dep
  CHECK(at<std::uint8_t>(&descriptor, 42) == 0);  // is_contiguous
  CHECK(at<std::uint8_t>(&descriptor, 43) == 1);  // address_space
  CHECK(at<std::uint32_t>(&descriptor, 44) == 3);
  CHECK(at<std::uint32_t>(&descriptor, 48) == 4);
  CHECK(at<std::uint32_t>(&descriptor, 52) == 4);
  CHECK(at<std::uint32_t>(&descriptor, 56) == 0);
  CHECK(at<std::uint64_t>(&descriptor, 64) == 2 * 64 + 3 * 4 + 4);
  CHECK(at<std::uint32_t>(&descriptor, 72) == 64);
  CHECK(at<std::uint32_t>(&descriptor, 76) == 4);
  CHECK(at<std::uint32_t>(&descriptor, 80) == 1);
}

TEST_CASE("a contiguous host tensor is described as one") {
  const Tensor tensor = Tensor::create({1, 1, 0}, 64, 0, {16}, DType::f32).value();
  const TensorDescriptor descriptor = describe(tensor, 0x1000, AddressSpace::host);
  CHECK(descriptor.is_contiguous == 1);
  CHECK(descriptor.address_space == 0);
  CHECK(descriptor.manual_dep == 0);
  CHECK(descriptor.owner_task == no_owner);
  CHECK(descriptor.extent == 16);
}

TEST_CASE("a descriptor becomes the tensor again, and a bad one is refused") {
  const Tensor tensor = sample();
  const TensorDescriptor good = describe(tensor, tensor.buffer().offset, AddressSpace::device);
  CHECK(tensor_from(good, 1, 1).value() == tensor);
  const auto with = [&](auto change) {
    TensorDescriptor descriptor = good;
    change(descriptor);
    const auto result = tensor_from(descriptor);
    return result.has_value() ? Errc{} : static_cast<Errc>(result.error().code().value);
  };
  CHECK(with([](auto& d) { d.ndims = 0; }) == Errc::invalid_shape);
  CHECK(with([](auto& d) { d.ndims = 6; }) == Errc::invalid_shape);
  CHECK(with([](auto& d) { d.dtype = 15; }) == Errc::unknown_dtype);
  CHECK(with([](auto& d) { d.start_offset = ~0ULL / 2; }) == Errc::size_overflow);
  CHECK(with([](auto& d) { d.size = 100; }) == Errc::out_of_range);
  CHECK(with([](auto& d) { d.shapes[0] = 0xFFFFFFFF; }) == Errc::out_of_range);
  CHECK(with([](auto& d) { d.address = ~0ULL; }) == Errc::size_overflow);
  CHECK(with([](auto& d) { d.address = 0x1002; }) == Errc::misaligned);
}

TEST_CASE("kernel words are descriptors, scalars and the two contexts, in the ABI's places") {
  std::vector<TensorDescriptor> descriptors(3);
  const std::uint64_t scalars[] = {7, ~0ULL};
  LocalContext local{5, 8};
  GlobalContext global{1};
  local.async.task_token = 9;
  global.dma_workspace[1] = 10;
  const KernelWords words = kernel_words(descriptors, scalars, local, global).value();
  CHECK(sizeof words == 50 * 8);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(words.words[i] == static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(&descriptors[i])));
  }
  CHECK(words.words[3] == 7);
  CHECK(words.words[4] == -1);
  CHECK(words.words[5] == 0);
  CHECK(at<std::int32_t>(reinterpret_cast<const void*>(words.words[48]), 0) == 5);
  CHECK(at<std::int32_t>(reinterpret_cast<const void*>(words.words[48]), 4) == 8);
  CHECK(at<std::uint64_t>(reinterpret_cast<const void*>(words.words[48]), 8) == 0);
  CHECK(at<std::uint64_t>(reinterpret_cast<const void*>(words.words[48]), 40) == 9);
  CHECK(at<std::int32_t>(reinterpret_cast<const void*>(words.words[49]), 0) == 1);
  CHECK(at<std::uint64_t>(reinterpret_cast<const void*>(words.words[49]), 16) == 10);
}

TEST_CASE("32 tensors and 16 scalars fill a kernel's words, one more is refused") {
  const std::vector<TensorDescriptor> descriptors(33);
  const std::vector<std::uint64_t> scalars(17, 3);
  const LocalContext local;
  const GlobalContext global;
  const std::span all_tensors(descriptors);
  const std::span all_scalars(scalars);
  CHECK(kernel_words(all_tensors.first(32), all_scalars.first(16), local, global).value().words[47] == 3);
  CHECK(kernel_words(all_tensors, {}, local, global).error() == Errc::too_many_tensors);
  CHECK(kernel_words({}, all_scalars, local, global).error() == Errc::too_many_scalars);
}

TEST_CASE("a communication context has each field where kernels look for it") {
  CommContext context;
  context.work_space = 1;
  context.work_space_size = 2;
  context.rank = 3;
  context.rank_count = 4;
  context.window_size = 5;
  context.windows_in[63] = 6;
  context.windows_out[0] = 7;
  CHECK(sizeof context == 1056);
  CHECK(at<std::uint64_t>(&context, 0) == 1);
  CHECK(at<std::uint64_t>(&context, 8) == 2);
  CHECK(at<std::uint32_t>(&context, 16) == 3);
  CHECK(at<std::uint32_t>(&context, 20) == 4);
  CHECK(at<std::uint64_t>(&context, 24) == 5);
  CHECK(at<std::uint64_t>(&context, 32 + 63 * 8) == 6);
  CHECK(at<std::uint64_t>(&context, 544) == 7);
}

TEST_CASE("a peer's address is found through the own window, and nothing outside it") {
  std::vector<std::uint64_t> windows[2] = {std::vector<std::uint64_t>(8), std::vector<std::uint64_t>(8)};
  CommContext context;
  context.rank = 1;
  context.rank_count = 2;
  context.window_size = 64;
  for (std::size_t i = 0; i < 2; ++i) {
    context.windows_in[i] = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(windows[i].data()));
  }
  CHECK(context.on_peer(&windows[1][3], 0) == &windows[0][3]);
  CHECK(context.on_peer(&windows[1][3], 1) == &windows[1][3]);
  CHECK(context.on_peer(&windows[1][3], 2) == nullptr);
  CHECK(context.peer_address(context.windows_in[1] + 64, 0) == 0);
  CHECK(context.peer_address(context.windows_in[1] - 1, 0) == 0);
  CHECK(context.peer_address(context.windows_in[1] + 63, 0) == context.windows_in[0] + 63);
  context.rank = 2;  // a broken context gives no address
  CHECK(context.peer_address(context.windows_in[1], 0) == 0);
}

}  // namespace
