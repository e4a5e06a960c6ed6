// The CUDA driver on a library in the place of CUDA's own: what the contract says, and what happens when a
// call fails.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

using namespace troupe;
using platform::RunArgs;
using runtime::Tensor;

namespace {

struct Fake {
  Fake() {
    const std::string file = tests::built("tests/platform/cuda/libtroupe_fake_cuda.so");
    setenv("TROUPE_CUDA_LIBRARY", file.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): before any thread
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    fail = reinterpret_cast<std::uint64_t (*)(std::uint64_t, int)>(dlsym(library, "fake_cuda_fail"));
    fault = reinterpret_cast<void (*)(int)>(dlsym(library, "fake_cuda_fault"));
    api = platform::DeviceLibrary::open(tests::built("lib/libtroupe_cuda.so")).value().api();
  }
  std::uint64_t (*fail)(std::uint64_t, int) = nullptr;
  void (*fault)(int) = nullptr;
  platform::DeviceApi api;
};

/// The suite's kernels, with an image for the fake card.
const runtime::Module& kernels() {
  static const auto module =
      runtime::Module::open(tests::built("tests/platform/cuda/libtroupe_fake_cuda_kernels.so")).value();
  return module;
}

/// A context that keeps how its runs ended.
struct Context {
  explicit Context(const platform::DeviceApi& device_api) : api(device_api) {
    table.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table.size = sizeof table;
    table.data = this;
    table.complete = [](void* self, const troupe_completion* completions, std::size_t count) {
      auto& context = *static_cast<Context*>(self);
      const std::lock_guard lock(context.mutex);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(context.ends.emplace(completions[i].correlation, completions[i].code).second);
      }
      context.changed.notify_all();
    };
    handle = api.create_device_context(&table);
  }
  ~Context() { CHECK(api.destroy_device_context(handle) == 0); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  std::uint64_t kernel(const char* name) const {
    troupe_callable callable{};
    callable.name = name;
    callable.module = kernels().raw();
    std::uint64_t id = 0;
    return api.register_callable(handle, &callable, &id) == 0 ? id : 0;
  }
  std::int32_t end_of(std::uint64_t number) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ends.contains(number); });
    return ends[number];
  }

  const platform::DeviceApi& api;
  troupe_host table{};
  troupe_device_context* handle = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, std::int32_t> ends;
};

void a_bit_of_everything(const Fake& fake) {
  Context chip(fake.api);
  REQUIRE(chip.handle != nullptr);
  if (fake.api.set_device(chip.handle, 0) != 0) return;
  const auto copy = chip.kernel("conformance_copy"), add = chip.kernel("conformance_add_scalar");
  std::uint64_t x = 0;
  const std::vector<float> ones(16, 1.0f);
  if (fake.api.device_malloc_ctx(chip.handle, 64, &x) != 0) return;
  (void)fake.api.copy_to_device_ctx(chip.handle, x, ones.data(), 64);
  std::vector<float> a(16, 1.0f), b(16);
  auto first = RunArgs::of(inout(Tensor::host(a.data(), {4, 4})), runtime::scalar(1.0f));
  auto second = RunArgs::of(in(Tensor::host(a.data(), {16})), out(Tensor::host(b.data(), {16}))).after(1);
  const std::vector<troupe_run> runs{first.run(1, add), second.run(2, copy)};
  if (fake.api.launch_runs(chip.handle, runs.data(), runs.size(), 0) != 0) return;
  (void)chip.end_of(1);
  if (chip.end_of(2) == 0) CHECK(b == std::vector<float>(16, 2.0f));
}

}  // namespace

TEST_CASE("whichever call of CUDA fails, every run ends once, and nothing is left in the context") {
  const Fake fake;
  a_bit_of_everything(fake);
  const auto before = fake.fail(0, 0);
  a_bit_of_everything(fake);
  const auto calls = fake.fail(0, 0) - before;
  REQUIRE(calls > 30);
  constexpr int out_of_memory = 2, illegal_address = 700, unknown = 999;
  for (const int code : {unknown, out_of_memory, illegal_address}) {
    for (std::uint64_t call = 1; call <= calls + 10; ++call) {
      CAPTURE(code);
      CAPTURE(call);
      fake.fail(call, code);
      a_bit_of_everything(fake);
      // The card works again for who comes next, whatever it was.
      fake.fail(0, 0);
      Context chip(fake.api);
      CHECK(fake.api.set_device(chip.handle, 0) == 0);
    }
  }
}

TEST_CASE("a fault ends all runs as lost, and a reset begins anew, and the other card goes on") {
  const Fake fake;
  Context chip(fake.api), other(fake.api);
  REQUIRE(fake.api.set_device(chip.handle, 0) == 0);
  REQUIRE(fake.api.set_device(other.handle, 1) == 0);
  CHECK(fake.api.set_device(Context(fake.api).handle, 2) == TROUPE_DEVICE_NO_SUCH_DEVICE);
  std::vector<std::int32_t> x(16);
  const auto args = RunArgs::of(in(Tensor::host(x.data(), {16})));
  const auto waits = args.run(1, chip.kernel("conformance_until_aborted"));
  REQUIRE(fake.api.launch_runs(chip.handle, &waits, 1, 0) == 0);
  fake.fault(0);
  CHECK(chip.end_of(1) == TROUPE_DEVICE_LOST);
  std::uint64_t address = 0;
  CHECK(fake.api.device_malloc_ctx(chip.handle, 64, &address) == TROUPE_DEVICE_LOST);
  std::vector<float> a(16, 1.0f), b(16);
  const auto copies = RunArgs::of(in(Tensor::host(a.data(), {16})), out(Tensor::host(b.data(), {16})));
  const auto elsewhere = copies.run(0, other.kernel("conformance_copy"));
  CHECK(fake.api.run_runtime(other.handle, &elsewhere, nullptr) == 0);
  CHECK(b == a);
  CHECK(fake.api.reset_device(chip.handle) == 0);
  CHECK(fake.api.set_device(chip.handle, 0) == 0);
  b.assign(16, 0.0f);
  const auto run = copies.run(0, chip.kernel("conformance_copy"));
  CHECK(fake.api.run_runtime(chip.handle, &run, nullptr) == 0);
  CHECK(b == a);
}
