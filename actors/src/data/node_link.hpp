#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <caf/actor_control_block.hpp>

#include "threads/threads.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// How the worker of a node is reached by the holder of a buffer whose newest bytes are with that node: by a
/// thread of the user's, by another node, by the end of the buffer. Shared; outlives the worker, and then
/// nobody answers. Thread-safe.
class TROUPE_API NodeLink {
 public:
  NodeLink(std::string path, std::shared_ptr<Services> services, std::shared_ptr<PumpPool> pumps)
      : path_(std::move(path)), services_(std::move(services)), pumps_(std::move(pumps)) {}

  const std::string& path() const { return path_; }
  const Services* services() const { return services_.get(); }
  /// The worker is there.
  void set(caf::weak_actor_ptr worker);
  /// Null: it has gone.
  Worker worker() const;

  /// Waits, on the caller's thread, until the newest bytes are in host memory, or are known to be lost.
  /// `all`: with what tasks that have not ended are to write. An error: the node has gone, or is going down.
  Result<void> bring_home(const std::shared_ptr<Buffer>& buffer, bool all) const;
  /// Nobody holds a tensor of it any more.
  void forget(std::uint64_t buffer) const;

 private:
  std::string path_;
  std::shared_ptr<Services> services_;
  std::shared_ptr<PumpPool> pumps_;
  mutable std::mutex mutex_;
  caf::weak_actor_ptr worker_;
};

/// While one lives, code of a user's runs on this thread that an actor waits for: it must not wait for bytes;
/// a placement policy must not ask any node for anything.
class TROUPE_API MayNotWait {
 public:
  enum class Code : std::uint8_t { none, coroutine, placement_policy };
  explicit MayNotWait(Code code) : before_(std::exchange(current(), code)) {}
  MayNotWait(const MayNotWait&) = delete;
  MayNotWait& operator=(const MayNotWait&) = delete;
  ~MayNotWait() { current() = before_; }
  static Code here() { return current(); }
  /// Throws in a policy.
  static void check_for_policy();

 private:
  static Code& current();
  Code before_;
};

}  // namespace troupe::actors
