// What a program says to its chip of a node, from any bytes: the node's relay between it and a chip that does
// what it is told. Whatever is said, the chip gets only what a program may make it do: no address of its
// process, no code that may not be sent, no memory but what was lent; and everything ends.
#include <poll.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "node/node.hpp"
#include "platform/nodes/fuzz_end.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::isolation;
using troupe::test::End;
using troupe::test::pair;
using troupe::test::require;

namespace {

class FakeProcess final : public Peer {
 public:
  explicit FakeProcess(comm::FileDescriptor socket) : socket_(std::move(socket)) {}
  std::unique_ptr<Stream> take_stream() override { return local_stream(std::move(socket_)); }
  std::string end(bool) override { return "ended"; }

 private:
  comm::FileDescriptor socket_;
};

/// What comes to the chip is looked at, and answered.
class Chip {
 public:
  Chip(End& end, bool may_ship, bool fails) : end_(end), may_ship_(may_ship), code_(fails ? 7 : 0) {}

  void hear(const Frame& frame) {
    Reader reader(frame.payload);
    switch (frame.kind) {
      case Kind::launch: {
        (void)reader.get<std::uint64_t>();
        const auto count = reader.get<std::uint64_t>();
        return look_at_runs(reader, count);
      }
      case Kind::abort:
      case Kind::unshare:
        return;
      case Kind::share:
        require(frame.descriptors.size() == 1 && frame.descriptors[0].valid());
        return;
      case Kind::set_up:
        (void)reader.get<SetUp>();
        require(reader.text() == "library" && frame.descriptors.size() == 2);
        break;
      case Kind::set_device: {
        const auto device = reader.get<std::int32_t>();
        require(device == 5 || device == -1);
        break;
      }
      case Kind::run: {
        RunBatch batch;
        require(batch.read(reader, 1, nowhere()) && reader.complete());
        uses_only_what_is_lent(batch);
        break;
      }
      case Kind::copy_to:
      case Kind::copy_from: {
        const auto call = reader.get<CopyCall>();
        if ((frame.number & waited_for) != 0) {
          require(call.piece == NodeCopies::piece && call.bytes != 0 && call.bytes <= part_bytes &&
                  call.offset <= NodeCopies::bytes - call.bytes);
        } else {
          require(call.piece == 0 || call.bytes == 0);
        }
        break;
      }
      case Kind::register_callable: {
        const auto news = reader.get<CallableNews>();
        (void)reader.text();
        const auto path = reader.text();
        require(news.has_bytes == 0 || may_ship_);
        require(news.has_module == 0 ? path.empty() : path.starts_with("/proc/"));
        break;
      }
      case Kind::window_create: {
        const comm::FileDescriptor memory(::memfd_create("window", MFD_CLOEXEC));
        troupe_window_blob blob{};
        auto told = answer_of(0);
        told.put(std::uint64_t{++windows_}).put(blob);
        return end_.say(Kind::answer, frame.number, told.bytes(), memory.get());
      }
      case Kind::window_import:
        require(frame.descriptors.size() == 1 && frame.descriptors[0].valid());
        break;
      case Kind::comm_init:
      case Kind::comm_alloc_windows:
      case Kind::comm_local_base:
      case Kind::comm_window_size:
      case Kind::comm_barrier:
      case Kind::comm_destroy:
      case Kind::comm_abort:
      case Kind::claim:
      case Kind::put:
      case Kind::get:
      case Kind::fill:
      case Kind::returns:
      case Kind::find_module:
      case Kind::module_part:
      case Kind::alive:
        std::abort();
      default:
        require(static_cast<int>(frame.kind) < static_cast<int>(Kind::hello));
    }
    auto told = answer_of(code_);
    told.put(std::uint64_t{1});
    end_.say(Kind::answer, frame.number, told.bytes());
  }

 private:
  static RunBatch::Locate nowhere() {
    return [](std::uint32_t, std::uint64_t, std::uint64_t) { return std::uint64_t{0}; };
  }
  static void uses_only_what_is_lent(const RunBatch& batch) {
    for (const auto& run : batch.runs()) {
      for (std::uint32_t i = 0; i < run.tensor_count; ++i)
        require(run.tensors[i].address_space == TROUPE_SPACE_DEVICE || run.tensors[i].buffer == 0);
    }
  }
  void look_at_runs(Reader reader, std::uint64_t count) {
    RunBatch batch;
    require(count <= reader.left() && batch.read(reader, static_cast<std::uint32_t>(count), nowhere()) &&
            reader.complete());
    uses_only_what_is_lent(batch);
    std::vector<troupe_completion> ends;
    for (const auto& run : batch.runs()) {
      troupe_completion end{};
      end.correlation = run.correlation;
      end.code = code_;
      ends.push_back(end);
    }
    for (std::span<const troupe_completion> left(ends); !left.empty();) {
      Writer news;
      left = left.subspan(put_completions(news, left));
      end_.say(Kind::completions, 0, news.bytes());
    }
  }

  End& end_;
  const bool may_ship_;
  const std::int32_t code_;
  std::uint64_t windows_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The first byte: whether the program may send code, and whether the chip fails what it is asked.
  const bool may_ship = size != 0 && (data[0] & 1) != 0, fails = size != 0 && (data[0] & 2) != 0;
  auto [program_here, program_there] = pair();
  auto [chip_here, chip_there] = pair();
  NodeRooms rooms{[&chip_there = chip_there]() -> Result<std::unique_ptr<Peer>> {
                    return std::unique_ptr<Peer>(std::make_unique<FakeProcess>(std::move(chip_there)));
                  },
                  "library",
                  0,
                  {},
                  {},
                  WindowMemory(77)};
  {
    Relay relay(rooms, plain_stream(std::move(program_there)), 0, "node", may_ship);
    relay.is_chip(5, 6);
    std::thread of_program([&] { relay.serve_program(); }), of_chip([&] { relay.serve_chip(); });
    End program(std::move(program_here), false), chip_end(std::move(chip_here), true);
    Chip chip(chip_end, may_ship, fails);
    Writer hello;
    hello.put(this_build());
    chip_end.say(Kind::hello, 0, hello.bytes());
    bool is_there = false, chip_is_there = true;
    for (bool goes_on = true; goes_on;) {
      pollfd waiting[2] = {program.wanted(), chip_end.wanted()};
      if (!chip_is_there) waiting[1].fd = -1;
      require(::poll(waiting, 2, 60'000) > 0);
      if (chip_is_there) chip_is_there = chip_end.go_on([&](const Frame& frame) { chip.hear(frame); });
      goes_on = program.go_on([&](const Frame& frame) {
        if (frame.kind != Kind::hello || is_there) return;
        is_there = true;
        program.say(std::as_bytes(std::span(data, size)).subspan(size != 0 ? 1 : 0));
        program.say_no_more();
      });
    }
    of_program.join();
    of_chip.join();
  }
  return 0;
}
