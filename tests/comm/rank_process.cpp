// One rank in a process of its own, for process_test.cpp and bootstrap_process_test.cpp.
//
//   reduce    <meeting> <rank> <ranks> <rounds> <die> <say>   all_reduces that check their answers; the rank
//                                      kills itself before round <die>, says "busy" before round <say>
//   bootstrap <memory fd> <doorbell fd> <meeting> <rank> <ranks> <how>    how: ok, die, bad
//   chip      <mailbox> <meeting> <rank> <ranks> <input> <output> <step>  bring-up with named things; says
//                                      "at <step>" at every step, and at <step> waits for a line
//   attach    <mailbox> <how>          how: ok, error, die, silent, other (as another user)
//   own       <name> <how>             owns a mailbox <name> and a segment <name>-staging until a line comes;
//                                      how: self, other (as another user)
//
// Exit: 0 good, 10 peer_lost, 11 any other error (printed), 12 a wrong answer, 13 a collective that asked for
// memory.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "comm/collective_golden.hpp"
#include "comm/host_chip.hpp"
#include "troupe/comm/bootstrap.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"

namespace {
std::atomic<std::uint64_t> allocations;  // operator new has nowhere else to keep it
}  // namespace

// Not inlined: g++ would take a std::free that it sees for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace troupe;
using namespace troupe::comm;
using namespace troupe::comm::test;

int code_of(const Error& error) {
  if (error == Errc::peer_lost) return 10;
  std::fprintf(stderr, "%s\n", error.what());
  return 11;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void wait_for_a_line() {
  char letter = 0;
  while (::read(STDIN_FILENO, &letter, 1) == 1 && letter != '\n') {
  }
}

std::uint32_t number(const char* text) { return static_cast<std::uint32_t>(std::atoi(text)); }

int reduce(char** arguments) {
  const std::uint32_t rank = number(arguments[1]);
  const std::uint32_t ranks = number(arguments[2]);
  const int rounds = std::atoi(arguments[3]);
  const int die = std::atoi(arguments[4]);
  const int busy = std::atoi(arguments[5]);
  auto comm = Communicator::init(rank, ranks, arguments[0]).value();
  const CollectiveWorkspace workspace{.offset = 0, .bytes = 4096 + 65536};
  comm.alloc_windows(workspace.bytes + 65536).value();
  auto collectives = Collectives::over(comm.domain(), workspace).value();
  std::byte* window = comm.local_window_base() + workspace.bytes;
  std::vector<std::byte> outside(65536);
  for (int round = 0; round < rounds; ++round) {
    if (round == die) std::raise(SIGKILL);
    if (round == busy) say("busy");
    const auto seed = static_cast<std::uint64_t>(round);
    const std::size_t count = noise(seed, 0, 0) % 16000;
    std::byte* data = round % 2 == 0 ? window : outside.data();
    const auto mine = input(seed, rank, count, DType::i32);
    std::copy(mine.begin(), mine.end(), data);
    const auto algorithm = static_cast<AllReduceAlgorithm>(noise(seed, 0, 1) % 5);
    const std::uint64_t before = allocations;
    collectives.all_reduce(data, data, count, DType::i32, ReduceOp::sum, algorithm).value();
    if (allocations != before) return 13;
    const auto expected = reduced_in_order(seed, ranks, count, DType::i32, ReduceOp::sum);
    if (!std::equal(expected.begin(), expected.end(), data)) return 12;
  }
  comm.destroy().value();
  return 0;
}

int bootstrap(char** arguments) {
  const std::string how = arguments[5];
  auto writer =
      BootstrapWriter::open(FileDescriptor(std::atoi(arguments[0])), FileDescriptor(std::atoi(arguments[1])))
          .value();
  if (how == "die") std::raise(SIGKILL);
  ChipBootstrapConfig config;
  config.comm = ChipCommBootstrapConfig{.rank = std::atoi(arguments[3]),
                                        .nranks = std::atoi(arguments[4]),
                                        .rootinfo_path = arguments[2],
                                        .window_size = 4096};
  config.buffers = {{.name = "x",
                     .dtype = "float32",
                     .count = 16,
                     .placement = how == "bad" ? "bogus" : "window",
                     .nbytes = 64}};
  HostChip chip;
  auto up = ChipBootstrap::run(chip, 0, config, writer);
  if (!up) return how == "bad" ? 0 : code_of(up.error());
  up->shutdown().value();
  return 0;
}

/// Says where bring-up is, and stands still where it is told to.
class TellingChip final : public BootstrapDevice {
 public:
  explicit TellingChip(std::string hold) : hold_(std::move(hold)) {}
  void at(const std::string& step) const {
    say("at " + step);
    if (step == hold_) wait_for_a_line();
  }
  Result<void> set_device(int id) override {
    at("set_device");
    return chip_.set_device(id);
  }
  Result<void> copy_to(std::uint64_t to, const void* from, std::size_t bytes) override {
    at("load");
    return chip_.copy_to(to, from, bytes);
  }
  Result<void> copy_from(void* to, std::uint64_t from, std::size_t bytes) override {
    at("store");
    return chip_.copy_from(to, from, bytes);
  }
  Result<std::unique_ptr<BootstrapCommunicator>> communicator(
      const ChipCommBootstrapConfig& config) override {
    at("meet");
    return chip_.communicator(config);
  }

 private:
  HostChip chip_;
  std::string hold_;
};

int chip(char** arguments) {
  TellingChip device(arguments[6]);
  auto writer = BootstrapWriter::attach(arguments[0]).value();
  device.at("attached");
  ChipBootstrapConfig config = rank_config(std::atoi(arguments[2]), std::atoi(arguments[3]), arguments[1]);
  config.buffers[0].load_from_host = config.buffers[0].store_to_host = true;
  config.host_inputs = {{"x", arguments[4], 256}};
  config.host_outputs = {{"x", arguments[5], 256}};
  auto up = ChipBootstrap::run(device, 0, config, writer);
  if (!up) return code_of(up.error());
  device.at("reported");
  up->shutdown().value();
  return 0;
}

int own(char** arguments) {
  const std::string name = arguments[0];
  if (std::string(arguments[1]) == "other" && ::setuid(65534) != 0) return 2;
  const auto mailbox = BootstrapMailbox::create_named("chip", name).value();
  const auto staging = HostSegment::create(name + "-staging", 256).value();
  say("ready");
  wait_for_a_line();
  return 0;
}

int attach(char** arguments) {
  const std::string how = arguments[1];
  if (how == "other") {
    if (::setuid(65534) != 0) return 2;
    const auto refused = BootstrapWriter::attach(arguments[0]);
    say(refused ? "attached" : std::string(refused.error().code().name));
    return 0;
  }
  auto writer = BootstrapWriter::attach(arguments[0]).value();
  if (how == "die") std::raise(SIGKILL);
  if (how == "error") writer.error(1, "ValueError: as asked").value();
  if (how == "ok") {
    writer.success({.device_ctx = 1, .local_window_base = 2, .actual_window_size = 3, .buffer_ptrs = {4}})
        .value();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "reduce" && argc == 8) return reduce(argv + 2);
    if (what == "bootstrap" && argc == 8) return bootstrap(argv + 2);
    if (what == "chip" && argc == 9) return chip(argv + 2);
    if (what == "own" && argc == 4) return own(argv + 2);
    if (what == "attach" && argc == 4) return attach(argv + 2);
  } catch (const Error& error) {
    return code_of(error);
  }
  return 2;
}
