#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "data/host_memory.hpp"
#include "data/node_link.hpp"
#include "troupe/actors/tensor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// What to do about bytes that are lost.
inline constexpr auto write_again = "write all of it again: a task with out(x), or x.overwrite<T>()";

/// What tensors view: an identity, a size, a place in host memory, and where the newest version is: there, or
/// with a node, whose worker knows on which chip. Copies that others made are good as long as the version is
/// the one they were made of. Shared by all who have a tensor of it; thread-safe.
///
/// Who writes it first has the newest version brought home, then claims it. So two nodes that write it
/// without an order between them never lose what a third has written before.
class TROUPE_API Buffer final : public BufferHold, public std::enable_shared_from_this<Buffer> {
 public:
  enum class Kind : std::uint8_t {
    tensor,        ///< the user's, in memory of ours
    intermediate,  ///< a program's; has host memory only when a host looks at it
    borrowed,      ///< the user's, in memory of the user's
  };

  /// Made by `HostMemory`.
  Buffer(Kind kind, std::uint64_t bytes, const runtime::Tensor& like, std::weak_ptr<HostMemory> memory);
  ~Buffer() override;
  bool kept_by_runs() const noexcept override { return kind_ != Kind::intermediate; }

  /// No other buffer of this process ever has it.
  std::uint64_t number() const noexcept { return number_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  Kind kind() const noexcept { return kind_; }
  /// "tensor f32[128, 64]", as it was made.
  std::string title() const;

  /// Another intermediate, of the same node.
  std::shared_ptr<Buffer> intermediate(const runtime::Tensor& like) const;

  /// Its place in host memory, which an intermediate gets now. An error: there is none left.
  Result<std::byte*> host();

  /// Changes when copies go out of date.
  std::uint32_t version() const noexcept { return version_.load(std::memory_order_acquire); }
  /// The node that has the newest version; null: it is at home, or lost.
  const NodeLink* kept_by() const noexcept { return kept_by_.load(std::memory_order_acquire); }
  std::shared_ptr<NodeLink> keeper() const;

  /// A node is about to write it: the newest version is there from now on. Returns the version.
  std::uint32_t claim(const std::shared_ptr<NodeLink>& by);
  /// What `from` had is in host memory now. Without effect when another has claimed it since.
  void came_home(const NodeLink* from);
  /// The host has written it, or is about to. Returns the version.
  std::uint32_t changed_at_home();
  /// The same, unless the newest version of some of it is with a node: false.
  bool changed_if_at_home();
  /// A part of it was; the newest of other parts is still with `keeper`.
  std::uint32_t changed_partly_at_home(const NodeLink* keeper);

  /// There is no newest version any more: its writer failed, or its chip died. Readers get the reason.
  void lose(const Error& why);
  /// The same if it is with that node.
  void lose_if_kept_by(const NodeLink* who, const Error& why);
  bool is_lost() const noexcept { return lost_.load(std::memory_order_acquire); }
  Error loss() const;
  /// All of it is about to be written.
  void forgive();
  /// A part of it has no valid bytes: its writer failed. The others are where they are.
  void lose_part(const runtime::Box& part, const Error& why);
  bool has_losses() const noexcept { return is_lost() || parts_lost_.load(std::memory_order_acquire); }
  /// Why there are no valid bytes in some of that part; nothing: there are.
  std::optional<Error> loss_in(const runtime::Box& part) const;
  /// That part is about to be written: what was lost inside it is not any more.
  void rewrite(const runtime::Box& part);

  /// A run has it, if it is memory of the user's. Its last run's end gives it back: nobody tells of what the
  /// user does there then, so what was lost is whatever lies there.
  void begin_run();
  void end_run();

  /// For a thread that may wait: the bytes come to host memory. Throws what keeps them from that. `all`: with
  /// what tasks that have not ended are to write.
  void bring_home(bool all = false);
  /// For a thread that may wait: of what is lost, bytes may still be on their way into host memory;
  /// afterwards none are.
  void let_stores_end();

  // Views of the host that are alive.
  void look(bool writes) noexcept;
  void look_away(bool writes) noexcept;
  bool looked_at() const noexcept { return views_.load(std::memory_order_acquire) != 0; }
  bool host_may_write() const noexcept { return writable_views_.load(std::memory_order_acquire) != 0; }

  /// To be told when the buffer ends.
  void tell(const std::shared_ptr<NodeLink>& node);

  /// Where the directory that used it first keeps what it knows of it; null: it is another one that asks, or
  /// nothing is kept. For that directory alone, by its number.
  void* known_to(std::uint64_t directory) const noexcept {
    return known_by_.load(std::memory_order_relaxed) == directory ? known_ : nullptr;
  }
  /// False: another one was first.
  bool set_known(std::uint64_t directory, void* what) noexcept {
    std::uint64_t nobody = 0;
    if (!known_by_.compare_exchange_strong(nobody, directory, std::memory_order_relaxed) &&
        nobody != directory)
      return false;
    known_ = what;
    return true;
  }

 private:
  friend class HostMemory;
  friend class Borrowed;

  const std::uint64_t number_;
  const std::uint64_t bytes_;
  const Kind kind_;
  const runtime::DType dtype_;
  const runtime::Shape shape_;
  std::weak_ptr<HostMemory> memory_;
  std::atomic<std::uint32_t> version_{1};
  std::atomic<const NodeLink*> kept_by_{nullptr};  ///< as keeper_
  std::atomic<bool> lost_{false};                  ///< as loss_
  std::atomic<bool> parts_lost_{false};            ///< as lost_parts_
  std::atomic<std::uint32_t> views_{0}, writable_views_{0};

  std::atomic<std::uint64_t> known_by_{0};
  void* known_ = nullptr;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<HostBlock> block_;
  std::byte* address_ = nullptr;
  std::shared_ptr<NodeLink> keeper_;
  std::optional<Error> loss_;
  std::vector<std::pair<runtime::Box, Error>> lost_parts_;
  std::uint32_t runs_ = 0;  ///< that have it
  std::vector<std::shared_ptr<NodeLink>> told_;
};

}  // namespace troupe::actors
