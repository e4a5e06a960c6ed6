// What a node says to a program that uses a chip of it, from any bytes, after a chip was brought up as it
// should be: calls get answers that nobody gave, runs end that never began. Each call ends, each run ends
// once, and nothing is written where nobody waits for it.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "host/host.hpp"
#include "platform/nodes/fuzz_end.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

using namespace troupe;
using namespace troupe::platform;
using namespace troupe::platform::isolation;
using troupe::test::End;
using troupe::test::pair;
using troupe::test::require;

namespace {

class FakeNode final : public Peer {
 public:
  explicit FakeNode(comm::FileDescriptor socket) : socket_(std::move(socket)) {}
  std::unique_ptr<Stream> take_stream() override { return plain_stream(std::move(socket_)); }
  std::string end(bool) override { return "gone"; }

 private:
  comm::FileDescriptor socket_;
};

/// The node: what it says comes from the input. Each call is answered, if not by that then well: who is not
/// answered waits, and that takes long.
class Node {
 public:
  Node(End& end, std::span<const std::byte> input) : end_(end), left_(input) {}

  void hear(const Frame& frame) {
    switch (frame.kind) {
      case Kind::set_up:
      case Kind::set_device:
        return end_.say(Kind::answer, frame.number, answer_of(0).bytes());
      case Kind::properties: {
        troupe_device_properties properties{};
        properties.size = sizeof properties;
        auto told = answer_of(0);
        told.put(properties).text("a chip");
        return end_.say(Kind::answer, frame.number, told.bytes());
      }
      case Kind::fill:
      case Kind::returns:
      case Kind::put:
      case Kind::alive:
        return;
      case Kind::destroy:
        end_.say(std::exchange(left_, {}));
        return end_.say_no_more();
      case Kind::launch:
      case Kind::abort:
      case Kind::share:
      case Kind::unshare:
        return say_next({});
      default:
        return say_next(frame.number);
    }
  }

 private:
  /// Frames up to the next answer, or ends of runs, as far as they are any.
  void say_next(std::optional<std::uint64_t> call) {
    FrameHeader header;
    std::size_t bytes = 0;
    while (header.kind != Kind::answer && header.kind != Kind::completions &&
           left_.size() - bytes >= sizeof header) {
      std::memcpy(&header, left_.data() + bytes, sizeof header);
      bytes += sizeof header;
      bytes += std::min<std::size_t>(header.bytes, left_.size() - bytes);
    }
    end_.say(left_.first(bytes));
    left_ = left_.subspan(bytes);
    if (call && (header.kind != Kind::answer || header.number != *call)) {
      auto told = answer_of(0);
      told.put(std::uint64_t{0x1000});
      end_.say(Kind::answer, *call, told.bytes());
    }
    if (bytes == 0 || left_.empty()) end_.say_no_more();
  }

  End& end_;
  std::span<const std::byte> left_;
};

void use(DeviceContext& context, std::vector<std::byte>& own, std::uint64_t& launched) {
  if (!context.set_option("silence_ms", "10") || !context.set_device(0)) return;
  std::vector<std::byte> bytes(1000);
  const auto there = context.malloc(bytes.size());
  if (there) {
    (void)context.copy_to(*there, bytes.data(), bytes.size());
    (void)context.copy_from(bytes.data(), *there, bytes.size());
  }
  const auto tensor = runtime::Tensor::host(reinterpret_cast<float*>(own.data()), {16});
  const auto args = RunArgs::of(runtime::inout(tensor));
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto run = args.run(number, 1);
    if (!context.launch({&run, 1})) break;
    launched = number;
    (void)context.properties();
  }
  if (there) (void)context.free(*there);
  (void)context.status();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto [node_end, program_end] = pair();
  std::thread node([&, socket = std::move(node_end)]() mutable {
    End end(std::move(socket), false);
    Node plays(end, std::as_bytes(std::span(data, size)));
    Writer hello;
    hello.put(this_build());
    end.say(Kind::hello, 0, hello.bytes());
    for (bool goes_on = true; goes_on;) {
      auto waiting = end.wanted();
      require(::poll(&waiting, 1, 60'000) > 0);
      goes_on = end.go_on([&](const Frame& frame) { plays.hear(frame); });
    }
  });
  auto settings = std::make_shared<Settings>();
  settings->library = settings->address = "node";
  settings->modules = std::make_shared<ModuleFiles>();
  settings->reach = [&program_end = program_end]() -> Result<std::unique_ptr<Peer>> {
    return std::unique_ptr<Peer>(std::make_unique<FakeNode>(std::move(program_end)));
  };
  std::mutex mutex;
  std::map<std::uint64_t, int> ends;
  std::uint64_t launched = 0;
  std::vector<std::byte> own(64);  // of runs, which may end later than any call
  ContextEvents events;
  events.complete = [&](std::span<const troupe_completion> completions) {
    const std::lock_guard lock(mutex);
    for (const auto& end : completions) require(++ends[end.correlation] == 1);
  };
  events.log = [](std::int32_t, std::int32_t, std::string_view) {};
  events.trace = [](std::span<const troupe_trace_event>) {};
  events.dump = [](const troupe_dump_record&) {};
  {
    auto context = DeviceContext::create(table_for(settings), std::make_shared<HostThreads>(), events);
    if (context) use(*context, own, launched);
  }
  node.join();
  require(ends.size() == launched);
  return 0;
}
