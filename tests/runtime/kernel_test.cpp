#include "troupe/runtime/kernel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "troupe/runtime/module.hpp"

// Kernels of this program's own module; module_test.cpp looks at them too.
TROUPE_KERNEL(scale)(troupe::runtime::KernelArgs& k) {
  const auto x = k.tensor<const float>(0);
  auto y = k.tensor<float>(1);
  for (std::size_t row = 0; row < x.extent(0); ++row) {
    for (std::size_t column = 0; column < x.extent(1); ++column)
      y(row, column) = x(row, column) * k.scalar<float>(0);
  }
}
TROUPE_KERNEL(who_am_i)(troupe::runtime::KernelArgs& k) {
  auto out = k.tensor<std::int32_t>(0);
  out[0] = k.block_idx();
  out[1] = k.block_num();
  out[2] = k.sub_block_id();
}
TROUPE_KERNEL(throws)(troupe::runtime::KernelArgs&) { throw std::runtime_error("boom"); }
TROUPE_KERNEL(throws_odd)(troupe::runtime::KernelArgs&) { throw 42; }
TROUPE_KERNEL(says_why)(troupe::runtime::KernelArgs& k) {
  for (int i = k.lane(); i < 2; i += k.lanes()) k.fail(i == 0 ? "the first reason" : "another one");
  k.sync();
}
TROUPE_KERNEL(waits)(troupe::runtime::KernelArgs& k) {
  auto flag = k.tensor<std::int32_t>(0);
  if (k.wait_until(flag[0], troupe::runtime::Compare::greater_equal, 5) != troupe::runtime::WaitStatus::ready)
    return;
  k.notify(flag[1], 9);
  k.notify_add(flag[1], -2);
}
TROUPE_HOST_FUNCTION(sum)(troupe::runtime::HostArgs& args) {
  float total = 0;
  for (const float value : args.tensor<const float>(0)) total += value;
  args.tensor<float>(1)[0] = total * args.scalar<float>(0);
}

namespace {

using namespace troupe::runtime;

/// One call of a kernel of this program on plain memory.
struct Call {
  std::vector<TensorDescriptor> descriptors;
  std::vector<std::uint64_t> scalars;
  LocalContext local{2, 4};
  GlobalContext global{1};
  const troupe_kernel_ops_v1* ops = nullptr;
  void* self = nullptr;
  std::string error;

  void add(const Tensor& tensor) {
    descriptors.push_back(describe(tensor, tensor.buffer().offset, AddressSpace::host));
  }
  std::int32_t run(std::string_view name) {
    const Callable callable = this_module().find(CallableKind::kernel, name).value();
    KernelWords words = kernel_words(descriptors, scalars, local, global).value();
    char text[64] = "";
    const troupe_kernel_call_v1 call{sizeof call,
                                     static_cast<std::uint32_t>(descriptors.size()),
                                     static_cast<std::uint32_t>(scalars.size()),
                                     0,
                                     words.words,
                                     ops,
                                     self,
                                     text,
                                     sizeof text,
                                     nullptr};
    const std::int32_t outcome = callable.descriptor->invoke.kernel(&call);
    error = text;
    return outcome;
  }
};

TEST_CASE("a kernel reads and writes tensors of any layout and its scalars") {
  std::vector<float> x(12), y(12);
  for (std::size_t i = 0; i < 12; ++i) x[i] = float(i);
  Call call;
  call.add(Tensor::host(x.data(), {3, 4}).transpose());
  call.add(Tensor::host(y.data(), {4, 3}));
  call.scalars = {to_u64(2.0F)};
  CHECK(call.run("scale") == TROUPE_DONE);
  for (std::size_t row = 0; row < 4; ++row) {
    for (std::size_t column = 0; column < 3; ++column)
      CHECK(y[row * 3 + column] == 2.0F * x[column * 4 + row]);
  }
}

TEST_CASE("a kernel knows its block, the number of blocks and its vector core") {
  std::vector<std::int32_t> out(3);
  Call call;
  call.add(Tensor::host(out.data(), {3}));
  CHECK(call.run("who_am_i") == TROUPE_DONE);
  CHECK(out == std::vector<std::int32_t>{2, 4, 1});
}

TEST_CASE("an access that the arguments do not allow fails the call with a text that names the argument") {
  std::vector<float> x(4);
  Call call;
  call.add(Tensor::host(x.data(), {2, 2}));
  CHECK(call.run("scale") == TROUPE_FAILED);
  CHECK(call.error.find("tensor argument 1 of a call with 1") == 0);
  call.add(Tensor::host(x.data(), {2, 2}));
  CHECK(call.run("scale") == TROUPE_FAILED);
  CHECK(call.error.find("scalar argument 0 of a call with 0") == 0);
  CHECK(call.run("who_am_i") == TROUPE_FAILED);
  CHECK(call.error.find("tensor argument 0 has elements of type f32, not i32") == 0);
}

TEST_CASE("an exception in a kernel ends its call, not the program, and its text is cut to fit") {
  Call call;
  CHECK(call.run("throws") == TROUPE_FAILED);
  CHECK(call.error == "boom");
  CHECK(call.run("throws_odd") == TROUPE_FAILED);
  CHECK(call.error.find("no std::exception") != std::string::npos);
  char small[4] = "";
  detail::put_text(small, sizeof small, "long text");
  CHECK(std::string(small) == "lon");
  detail::put_text(nullptr, 0, "nowhere");
}

TEST_CASE("a kernel fails without throwing, with the first text that it gave") {
  Call call;
  CHECK(call.run("says_why") == TROUPE_FAILED);
  CHECK(call.error == "the first reason");
}

TEST_CASE("without services a kernel waits on plain memory and sees what was written before the flag") {
  std::vector<std::int32_t> flags = {0, 0};
  std::jthread other([&] { std::atomic_ref(flags[0]).store(5, std::memory_order_release); });
  Call call;
  call.add(Tensor::host(flags.data(), {2}));
  CHECK(call.run("waits") == TROUPE_DONE);
  other.join();
  CHECK(flags[1] == 7);
}

TEST_CASE("a wait that cannot end any more unwinds the kernel with the reason") {
  std::vector<std::int32_t> flags = {0, 0};
  Call call;
  call.add(Tensor::host(flags.data(), {2}));
  troupe_kernel_ops_v1 ops{};
  ops.size = sizeof ops;
  call.ops = &ops;
  ops.wait = [](void*, const void*, std::uint32_t, std::uint32_t, std::uint64_t) -> std::int32_t {
    return TROUPE_PEER_LOST;
  };
  CHECK(call.run("waits") == TROUPE_PEER_LOST);
  ops.wait = nullptr;  // the plain wait asks whether the run is being given up
  ops.aborted = [](void*) -> std::int32_t { return 1; };
  CHECK(call.run("waits") == TROUPE_ABORTED);
  CHECK(flags[1] == 0);
}

TEST_CASE("the platform's wait and notify get the flag, its type, the comparison and the value") {
  struct Seen {
    const void* flag = nullptr;
    std::uint32_t type = 9, compare = 9;
    std::uint64_t value = 0;
    std::vector<std::uint32_t> operations;
  } seen;
  std::vector<std::int32_t> flags = {0, 0};
  Call call;
  call.add(Tensor::host(flags.data(), {2}));
  troupe_kernel_ops_v1 ops{};
  ops.wait = [](void* self, const void* flag, std::uint32_t type, std::uint32_t compare,
                std::uint64_t value) {
    auto& s = *static_cast<Seen*>(self);
    s.flag = flag, s.type = type, s.compare = compare, s.value = value;
    return std::int32_t{TROUPE_DONE};
  };
  ops.notify = [](void* self, void*, std::uint32_t, std::uint32_t operation, std::uint64_t) {
    static_cast<Seen*>(self)->operations.push_back(operation);
  };
  call.ops = &ops;
  call.self = &seen;
  CHECK(call.run("waits") == TROUPE_DONE);
  CHECK(seen.flag == flags.data());
  CHECK(seen.type == TROUPE_FLAG_I32);
  CHECK(seen.compare == TROUPE_GREATER_EQUAL);
  CHECK(seen.value == 5);
  CHECK(seen.operations == std::vector<std::uint32_t>{TROUPE_NOTIFY_SET, TROUPE_NOTIFY_ADD});
}

TEST_CASE("flags compare as their type says") {
  const std::int32_t minus_one = -1;
  CHECK(flag_holds(&minus_one, TROUPE_FLAG_I32, Compare::less, 0));
  CHECK(
      flag_holds(&minus_one, TROUPE_FLAG_I32, Compare::equal, static_cast<std::uint64_t>(std::int64_t{-1})));
  const std::uint64_t large = ~0ULL;
  CHECK_FALSE(flag_holds(&large, TROUPE_FLAG_U64, Compare::less, 0));
  CHECK(flag_holds(&large, TROUPE_FLAG_U64, Compare::greater_equal, ~0ULL));
  CHECK(flag_holds(&large, TROUPE_FLAG_U64, Compare::not_equal, 1));
  CHECK(flag_holds(&large, TROUPE_FLAG_U64, Compare::greater, 1));
  CHECK(flag_holds(&large, TROUPE_FLAG_U64, Compare::less_equal, ~0ULL));
  std::uint64_t counter = 40;
  flag_update(&counter, TROUPE_FLAG_U64, TROUPE_NOTIFY_ADD, 2);
  CHECK(counter == 42);
  flag_update(&counter, TROUPE_FLAG_U64, TROUPE_NOTIFY_SET, 1);
  CHECK(counter == 1);
}

TEST_CASE("a host function gets its tensors and scalars") {
  std::vector<float> values = {1, 2, 3}, total(1);
  const TensorDescriptor descriptors[] = {
      describe(Tensor::host(values.data(), {3}), BufferRef::host(values.data()).offset, AddressSpace::host),
      describe(Tensor::host(total.data(), {1}), BufferRef::host(total.data()).offset, AddressSpace::host)};
  const void* pointers[] = {&descriptors[0], &descriptors[1]};
  const std::uint64_t scalars[] = {to_u64(10.0F)};
  char text[64] = "";
  troupe_host_call_v1 call{sizeof call, 2, 1, 0, pointers, scalars, text, sizeof text, nullptr, nullptr};
  const auto invoke = this_module().find("sum").value().descriptor->invoke.host_function;
  CHECK(invoke(&call) == TROUPE_DONE);
  CHECK(total[0] == 60.0F);
  call.tensors = 1;
  CHECK(invoke(&call) == TROUPE_FAILED);
  CHECK(std::string(text).find("tensor argument 1") == 0);

  // Who calls may say what is only read; one that was built before that was told cannot.
  const std::uint8_t read_only[] = {1, 0};
  call.tensors = 2;
  CHECK_FALSE(HostArgs(call).is_read_only(0));
  call.read_only = read_only;
  CHECK(HostArgs(call).is_read_only(0));
  CHECK_FALSE(HostArgs(call).is_read_only(1));
  CHECK_FALSE(HostArgs(call).is_read_only(2));
  call.size = offsetof(troupe_host_call_v1, read_only);
  CHECK_FALSE(HostArgs(call).is_read_only(0));
}

TEST_CASE("a span of a tensor with gaps is refused") {
  std::vector<float> x(16);
  const TensorDescriptor gaps = describe(Tensor::host(x.data(), {4, 4}).slice(1, 0, 2),
                                         BufferRef::host(x.data()).offset, AddressSpace::host);
  const TensorView<float> view(x.data(), gaps);
  CHECK_THROWS_AS((void)view.span(), troupe::Error);
  CHECK(view.size() == 8);
}

}  // namespace
