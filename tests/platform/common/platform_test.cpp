// A platform of one core and one kind of code, which is otherwise what all platforms share: through the C
// ABI.
#include <doctest/doctest.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "host_chip/host_chip.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::common;
using troupe::platform::Errc;

namespace {

/// One byte: what is added to each byte of the first tensor. 255 does not return before it may.
struct Addend final : LoadedCode {
  explicit Addend(unsigned char value) : by(value) {}
  static Result<std::unique_ptr<LoadedCode>> load(std::string_view name, std::span<const std::byte> bytes) {
    if (bytes.size() != 1) return Error(Errc::bad_callable, "'" + std::string(name) + "' is no addend");
    return std::unique_ptr<LoadedCode>(new Addend(std::to_integer<unsigned char>(bytes[0])));
  }
  unsigned char by;
};
constexpr unsigned char deaf = 255;

/// For kernels that hear no abort: they are inside, and may return.
struct DeafKernel {
  std::latch inside{1}, may_return{1};
};
DeafKernel* deaf_kernel = nullptr;  // of the test that runs

class AddingChip final : public HostChip {
 public:
  AddingChip(HostServices& host_services, const ChipOptions& options, std::int32_t number)
      : HostChip(host_services, options, number, &Addend::load), staging_(memory(), options.checked) {}

  std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const override {
    std::size_t count = 0;
    queue().for_each_unfinished([&](const Run& run, bool executing) {
      if (!executing || count++ == capacity) return;
      cores[0] = {};
      run.callable->name.copy(cores[0].name, sizeof cores[0].name - 1);
    });
    return count;
  }

 private:
  Outcome execute(Run& run) noexcept override {
    if (auto copied = staging_.copy_in(run); !copied) return copied.error();
    const unsigned char by = static_cast<const Addend&>(*run.callable->foreign).by;
    if (by == deaf) {
      deaf_kernel->inside.count_down();
      deaf_kernel->may_return.wait();
    }
    const auto& tensor = staging_.tensors()[0];
    auto* bytes = pointer<unsigned char>(tensor.buffer().offset + tensor.byte_offset());
    for (std::size_t i = 0; i < tensor.byte_extent(); ++i)
      bytes[i] = static_cast<unsigned char>(bytes[i] + by);
    const bool in_time = queue().with_host_memory([&] { staging_.copy_back(); });
    staging_.finish();
    return in_time ? Outcome() : Outcome(aborted("given up"));
  }
  void interrupt(Run& /*run*/) noexcept override {}
  void store(std::uint64_t address, const void* data, std::uint64_t size) override {
    std::memcpy(pointer(address), data, size);
  }
  std::string name_of_core(std::uint32_t /*core*/) const override { return "the only core"; }

  Staging staging_;
};

class AddingPlatform final : public Platform {
 public:
  AddingPlatform() { options_.memory_bytes = memory_bytes; }
  Result<void> set_option(std::string_view name, std::string_view value) override {
    const GivenOption option(name, value);
    const auto known = options_.set(option, memory_bytes);
    if (!known) return known.error();
    if (!*known) return option.refused("an adder has no such thing");
    return {};
  }
  std::uint32_t devices() const noexcept override { return 2; }
  Result<std::shared_ptr<Chip>> make_chip(HostServices& host, std::int32_t number) override {
    return std::shared_ptr<Chip>(std::make_shared<AddingChip>(host, options_, number));
  }
  void describe(troupe_device_properties& properties, const Chip* /*chip*/) const override {
    properties.memory_bytes = options_.memory_bytes;
  }

 private:
  static constexpr std::uint64_t memory_bytes = 1 << 20;
  ChipOptions options_;
};

/// A context of it, whose completions are kept.
struct Adder {
  Adder() {
    table.abi_version = TROUPE_DEVICE_ABI_VERSION;
    table.size = sizeof table;
    table.data = this;
    table.complete = [](void* self, const troupe_completion* completions, std::size_t count) {
      auto& adder = *static_cast<Adder*>(self);
      const std::lock_guard lock(adder.mutex);
      for (std::size_t i = 0; i < count; ++i) {
        adder.ended.emplace_back(completions[i].correlation, completions[i].code);
      }
      adder.changed.notify_all();
    };
    context = create_device_context(&table);
    REQUIRE(context != nullptr);
  }
  ~Adder() { CHECK(destroy_device_context(context) == TROUPE_DEVICE_OK); }
  Adder(const Adder&) = delete;
  Adder& operator=(const Adder&) = delete;

  std::uint64_t addend(const char* name, unsigned char value) {
    troupe_callable callable{};
    callable.name = name;
    callable.bytes = &value;
    callable.byte_count = 1;
    std::uint64_t id = 0;
    REQUIRE(register_callable(context, &callable, &id) == TROUPE_DEVICE_OK);
    return id;
  }
  std::string last_error() const {
    char text[512];
    CHECK(device_last_error(context, nullptr, text, sizeof text) == TROUPE_DEVICE_OK);
    return text;
  }
  void wait_for_ends(std::size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ended.size() >= count; });
  }

  troupe_host table{};
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<std::uint64_t, std::int32_t>> ended;
  troupe_device_context* context = nullptr;
};

using Four = std::array<unsigned char, 4>;

troupe_tensor_arg argument(std::uint64_t address, std::uint8_t space) {
  troupe_tensor_arg tensor{};
  tensor.buffer = address;
  tensor.buffer_bytes = sizeof(Four);
  tensor.ndims = 1;
  tensor.shape[0] = sizeof(Four);
  tensor.strides[0] = 1;
  tensor.dtype = static_cast<std::uint8_t>(runtime::DType::u8);
  tensor.tag = TROUPE_TAG_INOUT;
  tensor.address_space = space;
  return tensor;
}
troupe_tensor_arg argument(Four& host) {
  return argument(reinterpret_cast<std::uint64_t>(host.data()), TROUPE_SPACE_HOST);
}

troupe_run run_of(std::uint64_t correlation, std::uint64_t callable, const troupe_tensor_arg& tensor) {
  troupe_run run{};
  run.correlation = correlation;
  run.callable = callable;
  run.tensors = &tensor;
  run.tensor_count = 1;
  return run;
}

}  // namespace

std::unique_ptr<Platform> troupe::platform::common::make_platform() {
  return std::make_unique<AddingPlatform>();
}

TEST_CASE("a platform that says how a run is executed has memory, copies, code, runs and states") {
  Adder adder;
  CHECK(set_device(adder.context, 2) == TROUPE_DEVICE_NO_SUCH_DEVICE);
  CHECK(adder.last_error() == "set_device: no device 2; devices are 0..1");
  CHECK(set_device_option(adder.context, "memory_bytes", "131072") == TROUPE_DEVICE_OK);
  CHECK(set_device_option(adder.context, "workers", "1") == TROUPE_DEVICE_UNKNOWN_OPTION);
  CHECK(adder.last_error().find("an adder has no such thing") != std::string::npos);
  REQUIRE(set_device(adder.context, 1) == TROUPE_DEVICE_OK);

  std::uint64_t address = 0, none = 0;
  REQUIRE(device_malloc_ctx(adder.context, sizeof(Four), &address) == TROUPE_DEVICE_OK);
  CHECK(device_malloc_ctx(adder.context, 131072, &none) == TROUPE_DEVICE_OUT_OF_MEMORY);
  const Four there{1, 2, 3, 4};
  REQUIRE(copy_to_device_ctx(adder.context, address, there.data(), sizeof there) == TROUPE_DEVICE_OK);
  const auto resident = argument(address, TROUPE_SPACE_DEVICE);
  Four here{10, 20, 30, 40};
  const auto on_host = argument(here);
  const auto three = adder.addend("three", 3);
  const std::array runs{run_of(1, three, resident), run_of(2, three, on_host), run_of(3, 77, on_host)};
  REQUIRE(launch_runs(adder.context, runs.data(), runs.size(), 0) == TROUPE_DEVICE_OK);
  adder.wait_for_ends(3);
  CHECK(adder.ended == std::vector<std::pair<std::uint64_t, std::int32_t>>{
                           {1, 0}, {2, 0}, {3, TROUPE_DEVICE_UNKNOWN_CALLABLE}});
  Four back{};
  REQUIRE(copy_from_device_ctx(adder.context, back.data(), address, sizeof back) == TROUPE_DEVICE_OK);
  CHECK(back == Four{4, 5, 6, 7});
  CHECK(here == Four{13, 23, 33, 43});

  troupe_device_properties properties{};
  properties.size = sizeof properties;
  REQUIRE(device_properties(adder.context, &properties) == TROUPE_DEVICE_OK);
  CHECK(properties.device_id == 1);
  CHECK(properties.device_count == 2);
  CHECK(properties.memory_bytes == 131072);
  CHECK(reset_device(adder.context) == TROUPE_DEVICE_OK);
  CHECK(device_free_ctx(adder.context, address) == TROUPE_DEVICE_INVALID_STATE);
}

TEST_CASE("code that the platform cannot load is refused in its words, and its name stays free") {
  Adder adder;
  REQUIRE(set_device(adder.context, 0) == TROUPE_DEVICE_OK);
  const char* two = "22";
  troupe_callable callable{};
  callable.name = "wide";
  callable.bytes = two;
  callable.byte_count = 2;
  std::uint64_t id = 0;
  CHECK(register_callable(adder.context, &callable, &id) == TROUPE_DEVICE_BAD_CALLABLE);
  CHECK(adder.last_error() == "register_callable: 'wide' is no addend");
  CHECK(adder.addend("wide", 1) != 0);
}

TEST_CASE("a kernel that does not return is named with its core, and its context comes back when it has") {
  DeafKernel kernel;
  deaf_kernel = &kernel;
  Adder adder;
  REQUIRE(set_device_option(adder.context, "grace_ms", "0") == TROUPE_DEVICE_OK);
  REQUIRE(set_device(adder.context, 0) == TROUPE_DEVICE_OK);
  Four here{1, 1, 1, 1};
  const auto on_host = argument(here);
  const auto run = run_of(1, adder.addend("stays", deaf), on_host);
  REQUIRE(launch_runs(adder.context, &run, 1, 0) == TROUPE_DEVICE_OK);
  kernel.inside.wait();
  CHECK(reset_device(adder.context) == TROUPE_DEVICE_BUSY);
  CHECK(adder.last_error().find("kernel 'stays' does not return (the only core)") != std::string::npos);
  CHECK(adder.ended == std::vector<std::pair<std::uint64_t, std::int32_t>>{{1, TROUPE_DEVICE_ABORTED}});
  CHECK(set_device(adder.context, 0) == TROUPE_DEVICE_QUARANTINED);
  kernel.may_return.count_down();
  // With no grace it may take more than one try until its thread is seen to be gone.
  std::int32_t code = TROUPE_DEVICE_BUSY;
  while (code == TROUPE_DEVICE_BUSY) code = finalize_device(adder.context);
  CHECK(code == TROUPE_DEVICE_OK);
  CHECK(here == Four{1, 1, 1, 1});
}
