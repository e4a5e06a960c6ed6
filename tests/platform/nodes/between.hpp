#pragma once

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "guest.hpp"

namespace troupe::test {

/// Somebody between programs and a node, who passes their connections on, or does not.
class Between {
 public:
  explicit Between(const TestNode& node)
      : node_(node.address().substr(5)), listening_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto here = place(folder_ / "socket");
    REQUIRE(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
    REQUIRE(::listen(listening_.get(), 16) == 0);
    lets_in_ = std::thread([this] { let_in(); });
  }
  ~Between() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    lets_in_.join();
    hold_answers(false);
    hold_bytes(false);
    hold_calls(false);
    cut(true);
    for (auto& thread : threads_) thread.join();
  }
  Between(const Between&) = delete;
  Between& operator=(const Between&) = delete;

  std::string address() const { return "unix:" + (folder_ / "socket"); }
  /// The node says from now on that its clock is ahead by so much.
  void set_ahead(std::chrono::nanoseconds by) { ahead_ns_ = static_cast<std::uint64_t>(by.count()); }
  /// Connections for many bytes from now on.
  void refuse(bool refuses) { refuses_ = refuses; }
  /// How many of those there were.
  int joined() const { return joined_.load(); }
  /// What the node says over the chip's own connection stays here.
  void hold_answers(bool holds) { hold(holds_answers_, holds); }
  /// What the program says over those for many bytes stays here.
  void hold_bytes(bool holds) { hold(holds_bytes_, holds); }
  /// What the program says over the chip's own connection stays here.
  void hold_calls(bool holds) { hold(holds_calls_, holds); }
  /// So many bytes of that are here, or on their way to here.
  std::size_t held_calls() {
    const std::lock_guard lock(mutex_);
    std::size_t bytes = 0;
    for (const auto& one : connections_) {
      int more = 0;
      if (one.is_bulk || ::ioctl(one.program.get(), FIONREAD, &more) != 0) continue;
      bytes += one.in_hand + static_cast<std::size_t>(more);
    }
    return bytes;
  }
  /// Ends those for many bytes; or all.
  void cut(bool all = false) {
    const std::lock_guard lock(mutex_);
    for (auto& one : connections_) {
      if (all || one.is_bulk) end(one);
    }
  }
  /// Waits until some of the bytes that are held are here.
  void wait_for_bytes() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ != 0; });
  }
  /// Waits until the node has said something that is held.
  void wait_for_answer() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return answers_ != 0; });
  }
  /// Waits until one for many bytes has ended, at both ends.
  void wait_for_end_of_bytes() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_ != 0; });
  }

 private:
  struct Connection {
    comm::FileDescriptor program, node;
    bool is_bulk = false;
    std::size_t in_hand = 0;  ///< of what the program said
  };
  static sockaddr_un place(const std::string& path) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof where.sun_path);
    std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
    return where;
  }
  static void end(const Connection& one) {
    ::shutdown(one.program.get(), SHUT_RDWR);
    ::shutdown(one.node.get(), SHUT_RDWR);
  }
  void hold(bool& what, bool holds) {
    const std::lock_guard lock(mutex_);
    what = holds;
    changed_.notify_all();
  }
  void let_in() {
    for (;;) {
      comm::FileDescriptor program(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!program.valid()) return;
      // What it says first, to know what it is for.
      std::vector<std::byte> said(sizeof(FrameHeader) + sizeof(Claim));
      if (::recv(program.get(), said.data(), said.size(), MSG_WAITALL | MSG_PEEK) !=
          static_cast<ssize_t>(said.size()))
        continue;
      Claim claim;
      std::memcpy(&claim, said.data() + sizeof(FrameHeader), sizeof claim);
      const bool is_bulk = claim.chip <= Claim::to_device;
      if (is_bulk && refuses_.load()) continue;
      comm::FileDescriptor node(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const auto there = place(node_);
      if (::connect(node.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0) continue;
      const std::lock_guard lock(mutex_);
      auto& one = connections_.emplace_back(Connection{std::move(program), std::move(node), is_bulk, 0});
      threads_.emplace_back([this, &one] { pass_on(one, true); });
      threads_.emplace_back([this, &one] { pass_on(one, false); });
      if (is_bulk) ++joined_;
    }
  }
  void pass_on(Connection& one, bool to_node) {
    const int from = (to_node ? one.program : one.node).get(), to = (to_node ? one.node : one.program).get();
    const bool& held = !to_node ? holds_answers_ : one.is_bulk ? holds_bytes_ : holds_calls_;
    const bool can_be_held = to_node || !one.is_bulk;
    std::vector<std::byte> some(65536);
    const bool is_welcomed = !to_node && ahead_ns_.load() != 0;
    for (bool is_first = true;; is_first = false) {
      const bool is_welcome = is_welcomed && is_first;
      const auto came = is_welcome
                            ? ::recv(from, some.data(), sizeof(FrameHeader) + sizeof(Welcome), MSG_WAITALL)
                            : ::recv(from, some.data(), some.size(), 0);
      if (is_welcome && came == static_cast<ssize_t>(sizeof(FrameHeader) + sizeof(Welcome))) {
        Welcome welcome;
        std::memcpy(&welcome, some.data() + sizeof(FrameHeader), sizeof welcome);
        welcome.now_ns += ahead_ns_.load();
        std::memcpy(some.data() + sizeof(FrameHeader), &welcome, sizeof welcome);
      }
      if (can_be_held) {
        std::unique_lock lock(mutex_);
        if (held && one.is_bulk && came > 0) ++waiting_;
        if (held && !to_node && came > 0) ++answers_;
        if (to_node && came > 0) one.in_hand = static_cast<std::size_t>(came);
        changed_.notify_all();
        changed_.wait(lock, [&] { return !held; });
        if (to_node) one.in_hand = 0;
      }
      if (came <= 0) break;
      (void)!::send(to, some.data(), static_cast<std::size_t>(came), MSG_NOSIGNAL);
    }
    end(one);
    const std::lock_guard lock(mutex_);
    if (one.is_bulk) ++ended_;
    changed_.notify_all();
  }

  const std::string node_;
  TemporaryFolder folder_;
  comm::FileDescriptor listening_;
  std::atomic<bool> refuses_{false};
  std::atomic<std::uint64_t> ahead_ns_{0};
  std::atomic<int> joined_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool holds_answers_ = false, holds_bytes_ = false, holds_calls_ = false;
  int ended_ = 0, waiting_ = 0, answers_ = 0;
  std::list<Connection> connections_;
  std::vector<std::thread> threads_;
  std::thread lets_in_;  ///< and makes the others
};

}  // namespace troupe::test
