#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/host.hpp"
#include "node/copies.hpp"
#include "node/module_store.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// What came is not what it should be.
Error misread(const char* what);
/// The node's fault, and nobody else's.
Error too_few_descriptors();

/// Memory of windows that other chips of the node may still want to join, by number. Thread-safe.
class WindowMemory {
 public:
  explicit WindowMemory(std::uint64_t node) : node_(node) {}
  std::uint64_t node() const { return node_; }
  std::uint64_t keep(comm::FileDescriptor memory);
  void forget(std::uint64_t number);
  /// A descriptor of one's own; invalid: it is gone.
  comm::FileDescriptor find(std::uint64_t number) const;

 private:
  const std::uint64_t node_;
  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, comm::FileDescriptor> memory_;
};

/// What the chips of a node have in common.
struct NodeRooms {
  /// Starts the process of a chip.
  std::function<Result<std::unique_ptr<Peer>>()> start_chip;
  std::string library;
  std::uint64_t silence_ns = 0;
  /// What happens, for the node's owner.
  std::function<void(const std::string& text)> log;
  ModuleStore modules;
  WindowMemory windows;
};

/// A chip of a node in use: what the program elsewhere says goes to the chip's process, and back. What refers
/// to memory that two processes of one machine have in common is put into other words on the way. Believes
/// neither end.
class Relay {
 public:
  /// `called`: what the program calls the node.
  Relay(NodeRooms& rooms, std::unique_ptr<Stream> program, std::uint64_t silence_ns, std::string called,
        bool may_ship);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  /// False: there are too few descriptors for it.
  bool is_there() const { return !program_.is_down(); }
  /// Its number for its platform, and the first that is none of the node's any more. Before it is served.
  void is_chip(int device, int end) {
    device_ = device;
    devices_end_ = end;
  }
  /// On two threads; each returns when both ends have gone.
  void serve_program();
  void serve_chip();
  /// Ends it. From any thread.
  void end();

  /// For further connections of the program that has this chip.
  const Token& token() const { return token_; }
  /// False: it is not the token, or there is such a connection now. Else `serve_bytes` has to follow.
  bool lends(const Token& token, Way way);
  /// Over a connection for many bytes; until one of both has gone. Null: it has gone already. One that ends
  /// between two transfers may be had again; one that ends inside of one takes the chip along.
  void serve_bytes(Way way, std::unique_ptr<Stream> stream);

 private:
  struct FromProgram final : Link::Receiver {
    explicit FromProgram(Relay& of) : relay(of) {}
    Result<void> frame(Frame& frame) override { return relay.hear_program(frame); }
    void caught_up() override { relay.go_on(); }
    Relay& relay;
  };
  struct FromChip final : Link::Receiver {
    explicit FromChip(Relay& of) : relay(of) {}
    Result<void> frame(Frame& frame) override { return relay.from_chip(frame); }
    Relay& relay;
  };
  /// What a run wrote, on its way to the program.
  struct Written {
    std::shared_ptr<SharedPages> pages;
    Region region;
  };
  /// A put that had no room.
  struct Stalled {
    std::uint64_t number = 0;
    PutPart part;
    std::vector<std::byte> payload;
  };
  struct Upload {
    ModuleAsked asked;
    ModuleImage image;
    ModuleStore::Room room;
  };

  // relay_program.cpp: what comes from the program.
  Result<void> hear_program(Frame& frame);
  Result<void> from_program(Frame& frame);
  Result<void> set_up(Reader& reader, const Frame& frame);
  Result<void> share(Reader& reader, const Frame& frame);
  Result<void> fill(Reader& reader);
  Result<void> returns(Reader& reader, std::uint64_t number);
  Result<void> put(Reader& reader, std::uint64_t number);
  Result<void> runs(Reader& reader, const Frame& frame);
  Result<void> add_callable(Reader& reader, const Frame& frame);
  Result<void> find_module(Reader& reader, const Frame& frame);
  Result<void> module_part(Reader& reader, const Frame& frame);
  Result<void> import_window(Reader& reader, const Frame& frame);
  void go_on();
  void pass_on(const Frame& frame, std::span<const std::byte> payload, std::span<const int> descriptors = {});
  void answer(std::uint64_t number, std::int32_t code, const std::string& text);

  // relay_bytes.cpp: what goes over connections for many bytes.
  struct Slice {
    std::size_t slot = 0;
    std::uint64_t bytes = 0;
    bool last = false;  ///< of its transfer
    bool done = false;
    std::int32_t code = 0;
    std::string text = {};
  };
  using Slices = std::deque<std::shared_ptr<Slice>>;
  /// How a connection ended.
  enum class Served : std::uint8_t { between_transfers, inside_transfer, misbehaved };
  Served take_bytes(Stream& stream);
  Served give_bytes(Stream& stream);
  std::optional<std::size_t> wait_for_slot(Way way, std::unique_lock<std::mutex>& lock);
  /// An order from the device, as far as it has come and was asked for.
  struct Reading {
    BulkOrder order;
    std::size_t came = 0;
    std::uint64_t asked = 0;
    bool is_whole() const { return came == sizeof order; }
  };
  bool next_order(Stream& stream, Reading& reading, bool wait);
  Served ask_for_slices(Stream& stream, Reading& reading, Slices& slices);
  bool give(Stream& stream, Slices& slices);
  bool skip_transfer(Reading& reading, Slices& slices);
  void say_last(const std::string& text);
  Served misbehaved(const char* how);
  bool is_over() const { return program_gone_ || chip_gone_; }

  // relay.cpp: what comes from the chip, and the end.
  Result<void> from_chip(Frame& frame);
  Result<void> answered(Frame& frame);
  Result<void> window_made(Frame& frame);
  void window_is_done(std::uint64_t window);
  void forget_windows();
  void ends(Frame& frame);
  void take_written(std::uint64_t number, bool ended_well, std::vector<Written>& written);
  void spill(const std::vector<Written>& written);
  void bury(const std::string& how, const std::string& garbage);
  void no_process(const Error& why);
  /// Null: there are no such bytes.
  std::shared_ptr<SharedPages> piece_with(std::uint32_t piece, std::uint64_t offset,
                                          std::uint64_t bytes) const;

  NodeRooms& rooms_;
  const std::string called_;
  const bool may_ship_;
  const Token token_;
  int device_ = 0, devices_end_ = 1;
  Link program_;
  FromProgram hears_program_{*this};
  FromChip hears_chip_{*this};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Link> chip_;
  bool program_gone_ = false, chip_gone_ = false;
  struct Lent {
    bool in_use = false;  ///< somebody serves it, or is about to
    Stream* stream = nullptr;
  };
  std::array<Lent, 2> lent_;  ///< connections for many bytes, by way
  std::optional<SharedPages> page_;
  std::map<std::uint32_t, std::shared_ptr<SharedPages>> pieces_;
  std::shared_ptr<SharedPages> slots_;
  std::optional<NodeCopies> copies_;
  std::optional<Stalled> stalled_;
  std::size_t calls_ = 0;                                 ///< that the chip's process has not answered
  std::size_t regions_ = 0;                               ///< of all `returns_`
  std::map<std::uint64_t, std::vector<Region>> returns_;  ///< by run
  std::map<std::uint64_t, std::uint64_t> waited_runs_;    ///< by call
  std::set<std::uint64_t> resets_;                        ///< by call
  std::set<std::uint64_t> making_windows_;                ///< by call
  std::map<std::uint64_t, std::uint64_t> commits_;        ///< their windows, by call
  std::map<std::uint64_t, std::uint64_t> windows_;        ///< their memory, by window
  std::map<runtime::Digest, Upload> uploads_;
};

}  // namespace troupe::platform::isolation
