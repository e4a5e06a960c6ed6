// One rank in a process of its own, for process_test.cpp.
//
//   reduce    <meeting> <rank> <ranks> <rounds> <die>   all_reduces that check their answers; the rank kills
//                                                       itself before round <die> (-1: never)
//   bootstrap <memory fd> <doorbell fd> <meeting> <rank> <ranks> <how>
//   attach    <mailbox name> <how>                      how: ok, error, die, silent
//
// Exit: 0 good, 10 peer_lost, 11 any other error (printed), 12 a wrong answer.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "comm/collective_golden.hpp"
#include "troupe/comm/bootstrap.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"

namespace {

using namespace troupe;
using namespace troupe::comm;
using namespace troupe::comm::test;

int code_of(const Error& error) {
  if (error == Errc::peer_lost) return 10;
  std::fprintf(stderr, "%s\n", error.what());
  return 11;
}

std::uint32_t number(const char* text) { return static_cast<std::uint32_t>(std::atoi(text)); }

int reduce(char** arguments) {
  const std::uint32_t rank = number(arguments[1]);
  const std::uint32_t ranks = number(arguments[2]);
  const int rounds = std::atoi(arguments[3]);
  const int die = std::atoi(arguments[4]);
  auto comm = Communicator::init(rank, ranks, arguments[0]).value();
  const CollectiveWorkspace workspace{.offset = 0, .bytes = 4096 + 65536};
  comm.alloc_windows(workspace.bytes + 65536).value();
  auto collectives = Collectives::over(comm.domain(), workspace).value();
  std::byte* window = comm.local_window_base() + workspace.bytes;
  std::vector<std::byte> outside(65536);
  for (int round = 0; round < rounds; ++round) {
    if (round == die) std::raise(SIGKILL);
    const auto seed = static_cast<std::uint64_t>(round);
    const std::size_t count = noise(seed, 0, 0) % 16000;
    std::byte* data = round % 2 == 0 ? window : outside.data();
    const auto mine = input(seed, rank, count, DType::i32);
    std::copy(mine.begin(), mine.end(), data);
    const auto algorithm = static_cast<AllReduceAlgorithm>(noise(seed, 0, 1) % 5);
    collectives.all_reduce(data, data, count, DType::i32, ReduceOp::sum, algorithm).value();
    const auto expected = reduced_in_order(seed, ranks, count, DType::i32, ReduceOp::sum);
    if (!std::equal(expected.begin(), expected.end(), data)) return 12;
  }
  comm.destroy().value();
  return 0;
}

class HostChip final : public BootstrapDevice {
 public:
  Result<void> set_device(int) override { return {}; }
  Result<void> copy_to(std::uint64_t to, const void* from, std::size_t bytes) override {
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return {};
  }
  Result<void> copy_from(void* to, std::uint64_t from, std::size_t bytes) override {
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return {};
  }
  Result<std::unique_ptr<BootstrapCommunicator>> communicator(
      const ChipCommBootstrapConfig& config) override {
    return make_bootstrap_communicator(config);
  }
};

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

int attach(char** arguments) {
  const std::string how = arguments[1];
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
    if (what == "reduce" && argc == 7) return reduce(argv + 2);
    if (what == "bootstrap" && argc == 8) return bootstrap(argv + 2);
    if (what == "attach" && argc == 4) return attach(argv + 2);
  } catch (const Error& error) {
    return code_of(error);
  }
  return 2;
}
