// Chip bring-up: what is checked before anybody can be hurt, what is acquired and released, and what is said.

#include "troupe/comm/bootstrap.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "comm/leaks.hpp"
#include "troupe/comm/errc.hpp"

namespace troupe::comm::test {
namespace {

constexpr std::uint64_t fake_base = 0x10000;

/// A chip of plain memory that writes down what is done to it and fails where a test wants.
class FakeChip final : public BootstrapDevice {
 public:
  std::vector<std::string> log;
  std::map<std::string, std::string> failures;  ///< step → message
  bool throws = false;
  std::vector<std::byte> memory = std::vector<std::byte>(8192);
  std::uint64_t window_given = 0;  ///< 0: as asked

  Result<void> step(const std::string& name) {
    log.push_back(name);
    const auto failure = failures.find(name);
    if (failure == failures.end()) return {};
    if (throws) throw std::runtime_error(failure->second);
    return Error(Errc::system, failure->second);
  }
  Result<void> set_device(int id) override { return step("set_device " + std::to_string(id)); }
  Result<void> copy_to(std::uint64_t to, const void* from, std::size_t bytes) override {
    if (auto done = step("copy_to"); !done) return done;
    std::memcpy(memory.data() + (to - fake_base), from, bytes);
    return {};
  }
  Result<void> copy_from(void* to, std::uint64_t from, std::size_t bytes) override {
    if (auto done = step("copy_from"); !done) return done;
    std::memcpy(to, memory.data() + (from - fake_base), bytes);
    return {};
  }
  Result<std::unique_ptr<BootstrapCommunicator>> communicator(const ChipCommBootstrapConfig&) override;
};

class FakeCommunicator final : public BootstrapCommunicator {
 public:
  explicit FakeCommunicator(FakeChip& chip) : chip_(chip) {}
  ~FakeCommunicator() override { chip_.log.push_back("leave"); }
  Result<std::uint64_t> alloc_windows(std::uint64_t bytes) override {
    if (auto done = chip_.step("alloc_windows"); !done) return done.error();
    size_ = chip_.window_given != 0 ? chip_.window_given : bytes;
    return std::uint64_t{0x7700};
  }
  Result<std::uint64_t> local_window_base() override { return fake_base; }
  Result<std::uint64_t> window_size() override { return size_; }
  Result<void> destroy() override { return chip_.step("destroy"); }

 private:
  FakeChip& chip_;
  std::uint64_t size_ = 0;
};

Result<std::unique_ptr<BootstrapCommunicator>> FakeChip::communicator(const ChipCommBootstrapConfig&) {
  if (auto done = step("comm_init"); !done) return done.error();
  return std::unique_ptr<BootstrapCommunicator>(std::make_unique<FakeCommunicator>(*this));
}

ChipBufferSpec buffer(std::string name, std::uint64_t nbytes) {
  return {.name = std::move(name),
          .dtype = "float32",
          .count = nbytes / 4,
          .placement = "window",
          .nbytes = nbytes};
}

ChipBootstrapConfig config_with(std::vector<ChipBufferSpec> buffers) {
  ChipBootstrapConfig config;
  config.comm = ChipCommBootstrapConfig{.rank = 0, .nranks = 1, .rootinfo_path = "job", .window_size = 4096};
  config.buffers = std::move(buffers);
  return config;
}

using Log = std::vector<std::string>;

TEST_CASE("bring-up without a communicator sets the device and reports zeros") {
  FakeChip chip;
  auto up = ChipBootstrap::run(chip, 3, {}).value();
  CHECK(up.result() == ChipBootstrapResult{});
  CHECK(up.context().device_id == 3);
  CHECK(up.context().nranks == 1);
  CHECK(up.shutdown());
  CHECK(chip.log == Log{"set_device 3"});
}

TEST_CASE("buffers are carved in order, each 64-byte aligned, empty ones included") {
  FakeChip chip;
  auto up = ChipBootstrap::run(
                chip, 0, config_with({buffer("a", 4), buffer("none", 0), buffer("b", 100), buffer("c", 4)}))
                .value();
  CHECK(up.result().device_ctx == 0x7700);
  CHECK(up.result().local_window_base == fake_base);
  CHECK(up.result().actual_window_size == 4096);
  CHECK(up.result().buffer_ptrs ==
        std::vector<std::uint64_t>{fake_base, fake_base + 64, fake_base + 64, fake_base + 192});
  CHECK(up.context().buffer_ptrs.at("c") == fake_base + 192);
  CHECK(up.shutdown());
  CHECK(chip.log == Log{"set_device 0", "comm_init", "alloc_windows", "destroy", "leave"});
}

TEST_CASE("another alignment can be asked for, a window may be filled to its last byte") {
  ChipBootstrapConfig config = config_with({buffer("a", 4), buffer("b", 4)});
  config.buffer_alignment = 1;
  CHECK(validate(config).value() == std::vector<std::uint64_t>{0, 4});
  config.buffer_alignment = 4096;
  CHECK_FALSE(validate(config));  // b would begin where the window ends
  config.buffers = {buffer("all", 4096)};
  CHECK(validate(config));
}

/// The text of a refusal; and the chip was not touched.
std::string refused(const ChipBootstrapConfig& config) {
  FakeChip chip;
  const auto up = ChipBootstrap::run(chip, 0, config);
  CHECK(chip.log.empty());
  if (up) return "accepted";
  CHECK(up.error().message() == validate(config).error().message());
  return up.error().message();
}

TEST_CASE("a wrong config is refused before the chip or a peer is touched, in the words of the reference") {
  ChipBootstrapConfig config = config_with({buffer("x", 64)});
  config.buffers[0].placement = "bogus";
  CHECK(refused(config) == "ValueError: ChipBufferSpec.placement='bogus'; only 'window' is supported");

  config = config_with({buffer("w", 4000), buffer("x", 128)});
  CHECK(refused(config) == "ValueError: buffer 'x' (nbytes=128) at offset=4032 overflows window size 4096");
  config.buffers[1].nbytes = ~std::uint64_t{0};
  CHECK(refused(config).find("overflows window size") != std::string::npos);

  config = config_with({buffer("x", 64)});
  config.comm.reset();
  CHECK(refused(config).find("ValueError: buffers need a window") == 0);

  const auto with = [](const std::function<void(ChipBootstrapConfig&)>& change) {
    ChipBootstrapConfig changed = config_with({buffer("x", 64)});
    change(changed);
    return refused(changed);
  };
  CHECK(with([](auto& c) { c.comm->rank = 1; }).find("ValueError: rank=1") == 0);
  CHECK(with([](auto& c) { c.comm->rank = -1; }).find("ValueError: rank=-1") == 0);
  CHECK(with([](auto& c) { c.comm->nranks = 65; }).find("ValueError: nranks=65") == 0);
  CHECK(with([](auto& c) { c.comm->nranks = 0; }).find("ValueError: nranks=0") == 0);
  CHECK(with([](auto& c) { c.comm->rootinfo_path.clear(); }).find("ValueError: rootinfo_path") == 0);
  CHECK(with([](auto& c) { c.comm->window_size = ~std::uint64_t{0}; }).find("ValueError: window_size") == 0);
  CHECK(with([](auto& c) { c.buffer_alignment = 3; }).find("ValueError: buffer_alignment=3") == 0);
  CHECK(with([](auto& c) { c.buffer_alignment = 0; }).find("ValueError: buffer_alignment=0") == 0);
  CHECK(with([](auto& c) { c.buffer_alignment = 8192; }).find("ValueError: buffer_alignment=8192") == 0);
  CHECK(with([](auto& c) { c.buffers[0].name.clear(); }).find("ValueError: a buffer has no name") == 0);
  CHECK(with([](auto& c) { c.buffers.push_back(c.buffers[0]); }).find("ValueError: two buffers") == 0);
  CHECK(with([](auto& c) { c.buffers[0].dtype = "float33"; }).find("unknown dtype 'float33'") !=
        std::string::npos);
  CHECK(with([](auto& c) { c.buffers[0].count = 17; }).find("does not fit nbytes=64") != std::string::npos);
  CHECK(with([](auto& c) { c.buffers[0].count = ~std::uint64_t{0}; }).find("does not fit") !=
        std::string::npos);
  CHECK(with([](auto& c) { c.buffers[0].load_from_host = true; }).find("KeyError: host_inputs") == 0);
  CHECK(with([](auto& c) { c.buffers[0].store_to_host = true; }).find("KeyError: host_outputs") == 0);
  CHECK(with([](auto& c) {
          c.host_inputs = {{"y", "shm", 1}};
        }).find("which is no buffer") != std::string::npos);
  CHECK(with([](auto& c) {
          c.host_inputs = {{"x", "shm", 64}, {"x", "shm", 64}};
        }).find("two stagings") != std::string::npos);
  CHECK(with([](auto& c) {
          c.buffers[0].load_from_host = true;
          c.host_inputs = {{"x", "shm", 63}};
        }).find("has size 63, the buffer has nbytes 64") != std::string::npos);
  CHECK(with([](auto& c) {
          c.buffers[0].store_to_host = true;
          c.host_outputs = {{"x", "a/b", 64}};
        }).find("is no name for shared memory") != std::string::npos);
}

TEST_CASE("stagings are looked up by name") {
  ChipBootstrapConfig config;
  config.host_inputs = {{"x", "one", 1}};
  config.host_outputs = {{"x", "two", 2}};
  CHECK(config.input_staging("x")->shm_name == "one");
  CHECK(config.output_staging("x")->shm_name == "two");
  CHECK(config.input_staging("y").error().message().find("KeyError: ") == 0);
}

TEST_CASE("shared memory that is missing or too small is noticed before the chip is touched") {
  ChipBootstrapConfig config = config_with({buffer("x", 64)});
  config.buffers[0].load_from_host = true;
  config.host_inputs = {{"x", unique_name("absent"), 64}};
  FakeChip chip;
  CHECK(ChipBootstrap::run(chip, 0, config).error().message().find("FileNotFoundError: host_inputs 'x'") ==
        0);
  auto small = HostSegment::create(unique_name("small"), 60).value();
  config.host_inputs[0].shm_name = small.name();
  CHECK(ChipBootstrap::run(chip, 0, config).error().message().find("ValueError: host_inputs 'x'") == 0);
  CHECK(chip.log.empty());
}

TEST_CASE(
    "inputs are loaded before success, outputs stored on request and on shutdown, names stay the user's") {
  const auto before = held_descriptors();
  {
    auto input = HostSegment::create(unique_name("in"), 300).value();
    auto output = HostSegment::create(unique_name("out"), 300).value();
    for (std::size_t i = 0; i < 300; ++i) input.bytes()[i] = static_cast<std::byte>(i);
    ChipBootstrapConfig config = config_with({buffer("x", 300), buffer("empty", 0)});
    config.buffers[0].load_from_host = config.buffers[0].store_to_host = true;
    config.buffers[1].load_from_host = config.buffers[1].store_to_host = true;
    config.host_inputs = {{"x", input.name(), 300}, {"empty", "", 0}};
    config.host_outputs = {{"x", output.name(), 300}, {"empty", "", 0}};
    FakeChip chip;
    auto up = ChipBootstrap::run(chip, 0, config).value();
    CHECK(std::memcmp(chip.memory.data(), input.bytes().data(), 300) == 0);

    chip.memory[7] = std::byte{0xee};
    CHECK(up.store_to_host("x"));
    CHECK(output.bytes()[7] == std::byte{0xee});
    CHECK(up.store_to_host("empty"));
    CHECK(up.store_to_host("y").error().message().find("KeyError: ") == 0);
    chip.memory[8] = std::byte{0xdd};
    CHECK(up.shutdown());
    CHECK(output.bytes()[8] == std::byte{0xdd});
    CHECK(up.shutdown());  // and it does nothing
    CHECK(chip.log == Log{"set_device 0", "comm_init", "alloc_windows", "copy_to", "copy_from", "copy_from",
                          "destroy", "leave"});
    CHECK(own_shared_memory_names().size() == 2);
  }
  CHECK(own_shared_memory_names().empty());
  CHECK(held_descriptors() == before);
}

TEST_CASE("a failure at any step releases exactly what was acquired, and says which step it was") {
  const auto before = held_descriptors();
  auto input = HostSegment::create(unique_name("in"), 64).value();
  ChipBootstrapConfig config = config_with({buffer("x", 64)});
  config.buffers[0].load_from_host = true;
  config.host_inputs = {{"x", input.name(), 64}};
  struct Step {
    const char* name;
    const char* text;
    Log log;
  };
  const Step steps[] = {{"set_device 5", "RuntimeError: set_device(5): it broke", {"set_device 5"}},
                        {"comm_init", "RuntimeError: comm_init: it broke", {"set_device 5", "comm_init"}},
                        {"alloc_windows",
                         "RuntimeError: comm_alloc_windows: it broke",
                         {"set_device 5", "comm_init", "alloc_windows", "leave"}},
                        {"copy_to",
                         "RuntimeError: loading 'x': it broke",
                         {"set_device 5", "comm_init", "alloc_windows", "copy_to", "leave"}}};
  for (const bool throws : {false, true}) {
    for (const Step& step : steps) {
      FakeChip chip;
      chip.throws = throws;
      chip.failures[step.name] = "it broke";
      auto mailbox = BootstrapMailbox::create("chip 5").value();
      auto writer = mailbox.writer().value();
      const auto up = ChipBootstrap::run(chip, 5, config, writer);
      REQUIRE_FALSE(up);
      CHECK(up.error().message() == step.text);
      CHECK(chip.log == step.log);
      const auto reported = mailbox.wait();
      CHECK(reported.error().message() == std::string("chip 5 bootstrap failed: ") + step.text);
    }
  }
  input.close();
  CHECK(held_descriptors() == before);
}

TEST_CASE("a window that came out smaller than asked is noticed") {
  FakeChip chip;
  chip.window_given = 100;
  const auto up = ChipBootstrap::run(chip, 0, config_with({buffer("x", 128)}));
  CHECK(up.error().message() == "ValueError: buffer 'x' (nbytes=128) at offset=0 overflows window size 100");
  CHECK(chip.log.back() == "leave");
}

TEST_CASE("shutdown is idempotent, also after a destroy that failed") {
  FakeChip chip;
  chip.failures["destroy"] = "peers are gone";
  auto up = ChipBootstrap::run(chip, 0, config_with({buffer("x", 64)})).value();
  CHECK(up.shutdown().error().message() == "RuntimeError: comm_destroy: peers are gone");
  CHECK(up.shutdown());
  CHECK(chip.log == Log{"set_device 0", "comm_init", "alloc_windows", "destroy", "leave"});
}

TEST_CASE("an output that cannot be stored does not keep the communicator alive") {
  FakeChip chip;
  auto output = HostSegment::create(unique_name("out"), 64).value();
  ChipBootstrapConfig config = config_with({buffer("x", 64)});
  config.buffers[0].store_to_host = true;
  config.host_outputs = {{"x", output.name(), 64}};
  auto up = ChipBootstrap::run(chip, 0, config).value();
  chip.failures["copy_from"] = "no";
  CHECK(up.shutdown().error().message() == "RuntimeError: storing 'x': no");
  CHECK(chip.log.back() == "leave");
}

TEST_CASE("more buffers than a mailbox carries are refused before anything happens") {
  FakeChip chip;
  ChipBootstrapConfig config = config_with({});
  for (int i = 0; i < 377; ++i) config.buffers.push_back(buffer("b" + std::to_string(i), 0));
  auto mailbox = BootstrapMailbox::create("chip 0").value();
  auto writer = mailbox.writer().value();
  CHECK_FALSE(ChipBootstrap::run(chip, 0, config, writer));
  CHECK(mailbox.wait().error().message().find("377 buffers") != std::string::npos);
  CHECK(chip.log.empty());
  config.buffers.pop_back();
  CHECK(ChipBootstrap::run(chip, 0, config));
}

TEST_CASE("a report that does not match the config is no context") {
  const ChipBootstrapConfig config = config_with({buffer("x", 64)});
  ChipBootstrapResult result{
      .device_ctx = 1, .local_window_base = 4096, .actual_window_size = 4096, .buffer_ptrs = {4096}};
  CHECK(chip_context(1, config, result));
  result.buffer_ptrs = {};
  CHECK(chip_context(1, config, result).error() == Errc::mismatch);
  for (const std::uint64_t outside : {std::uint64_t{4095}, std::uint64_t{8192 - 63}, std::uint64_t{0}}) {
    result.buffer_ptrs = {outside};
    CHECK(chip_context(1, config, result).error() == Errc::mismatch);
  }
}

}  // namespace
}  // namespace troupe::comm::test
