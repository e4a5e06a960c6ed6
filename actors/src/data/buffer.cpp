#include "data/buffer.hpp"

#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Only tells buffers apart.
std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Buffer::Buffer(Kind kind, std::uint64_t bytes, const runtime::Tensor& like, std::weak_ptr<HostMemory> memory)
    : BufferHold(nullptr, this),
      number_(next_number()),
      bytes_(bytes),
      kind_(kind),
      dtype_(like.dtype()),
      shape_(like.shape()),
      memory_(std::move(memory)) {}

Buffer::~Buffer() {
  for (const auto& node : told_) node->forget(number_);
  if (kind_ != Kind::tensor) return;
  if (const auto memory = memory_.lock()) memory->forget(address_);
}

std::string Buffer::title() const {
  return "tensor " + std::string(runtime::name_of(dtype_)) + to_string(shape_);
}

std::shared_ptr<Buffer> Buffer::intermediate(const runtime::Tensor& like) const {
  return std::make_shared<Buffer>(Kind::intermediate, like.bytes(), like, memory_);
}

Result<std::byte*> Buffer::host() {
  std::lock_guard guard(mutex_);
  if (address_ != nullptr) return address_;
  const auto memory = memory_.lock();
  if (!memory) return Error(Errc::shut_down, "the node of an intermediate has gone");
  auto block = memory->take(bytes_);
  if (!block) return block.error();
  block_ = *std::move(block);
  address_ = block_->address();
  return address_;
}

std::shared_ptr<NodeLink> Buffer::keeper() const {
  std::lock_guard guard(mutex_);
  return keeper_;
}

std::uint32_t Buffer::claim(const std::shared_ptr<NodeLink>& by) {
  std::lock_guard guard(mutex_);
  if (keeper_ == by) return version();
  keeper_ = by;
  kept_by_.store(by.get(), std::memory_order_release);
  return version_.fetch_add(1, std::memory_order_acq_rel) + 1;
}

void Buffer::came_home(const NodeLink* from) {
  {
    std::lock_guard guard(mutex_);
    if (keeper_.get() != from) return;
    keeper_ = nullptr;
    kept_by_.store(nullptr, std::memory_order_release);
  }
  changed_.notify_all();
}

std::uint32_t Buffer::changed_at_home() {
  std::lock_guard guard(mutex_);
  keeper_ = nullptr;
  kept_by_.store(nullptr, std::memory_order_release);
  return version_.fetch_add(1, std::memory_order_acq_rel) + 1;
}

bool Buffer::changed_if_at_home() {
  std::lock_guard guard(mutex_);
  if (keeper_) return false;
  version_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

std::uint32_t Buffer::changed_partly_at_home(const NodeLink* keeper) {
  std::lock_guard guard(mutex_);
  if (keeper_.get() != keeper) {
    keeper_ = nullptr;
    kept_by_.store(nullptr, std::memory_order_release);
  }
  return version_.fetch_add(1, std::memory_order_acq_rel) + 1;
}

void Buffer::lose(const Error& why) {
  {
    std::lock_guard guard(mutex_);
    if (!loss_) loss_ = why;
    lost_.store(true, std::memory_order_release);
    keeper_ = nullptr;
    kept_by_.store(nullptr, std::memory_order_release);
    version_.fetch_add(1, std::memory_order_acq_rel);
  }
  changed_.notify_all();
}

void Buffer::lose_if_kept_by(const NodeLink* who, const Error& why) {
  if (kept_by() == who) lose(why);
}

Error Buffer::loss() const {
  std::lock_guard guard(mutex_);
  return loss_ ? *loss_ : Error(Errc::data_lost, title() + " was lost");
}

void Buffer::forgive() {
  std::lock_guard guard(mutex_);
  loss_.reset();
  lost_.store(false, std::memory_order_release);
  lost_parts_.clear();
  parts_lost_.store(false, std::memory_order_release);
}

void Buffer::lose_part(const runtime::Box& part, const Error& why) {
  std::lock_guard guard(mutex_);
  std::erase_if(lost_parts_, [&](const auto& lost) { return runtime::covers(part, lost.first); });
  lost_parts_.emplace_back(part, why);
  parts_lost_.store(true, std::memory_order_release);
}

std::optional<Error> Buffer::loss_in(const runtime::Box& part) const {
  if (!has_losses()) return std::nullopt;
  if (is_lost()) return loss();
  std::lock_guard guard(mutex_);
  for (const auto& [lost, why] : lost_parts_) {
    if (runtime::overlaps(lost, part)) return why;
  }
  return std::nullopt;
}

void Buffer::rewrite(const runtime::Box& part) {
  if (!parts_lost_.load(std::memory_order_acquire)) return;
  std::lock_guard guard(mutex_);
  std::erase_if(lost_parts_, [&](const auto& lost) { return runtime::covers(part, lost.first); });
  parts_lost_.store(!lost_parts_.empty(), std::memory_order_release);
}

void Buffer::begin_run() {
  if (kind_ != Kind::borrowed) return;
  std::lock_guard guard(mutex_);
  ++runs_;
}

void Buffer::end_run() {
  if (kind_ != Kind::borrowed) return;
  std::lock_guard guard(mutex_);
  if (--runs_ != 0 || (!loss_ && lost_parts_.empty())) return;
  loss_.reset();
  lost_.store(false, std::memory_order_release);
  lost_parts_.clear();
  parts_lost_.store(false, std::memory_order_release);
  version_.fetch_add(1, std::memory_order_acq_rel);  // copies that were made of it are not what lies there
}

void Buffer::bring_home(bool all) {
  while (kept_by() != nullptr && !is_lost()) {
    const auto from = keeper();
    if (!from) continue;
    MayNotWait::check_for_policy();
    if (MayNotWait::here() == MayNotWait::Code::coroutine) {
      throw Error(Errc::blocking_in_coroutine,
                  "the tensor's newest bytes are with " + from->path() +
                      ": a coroutine that waited for them would hold up everything else",
                  "co_await node.fetch(x) first, or node.read_all");
    }
    const auto brought = from->bring_home(shared_from_this(), all);
    // The node may still keep it, for tasks that have not ended.
    if (brought && !all) break;
    if (brought) continue;
    if (!(brought.error() == Errc::shut_down)) throw brought.error();
    // A node that goes down brings home what it has, or says that it is lost.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return keeper_ != from || loss_; });
  }
  if (is_lost()) throw loss();
}

void Buffer::let_stores_end() {
  std::vector<std::shared_ptr<NodeLink>> nodes;
  {
    std::lock_guard guard(mutex_);
    nodes = told_;
  }
  if (nodes.empty()) return;
  MayNotWait::check_for_policy();
  if (MayNotWait::here() == MayNotWait::Code::coroutine) {
    throw Error(Errc::blocking_in_coroutine,
                title() +
                    " was lost, and bytes of it may still be on their way into host memory: a "
                    "coroutine that waited for them would hold up everything else",
                "write all of it by a task: node.fill, or one with out(x)");
  }
  // Why they did not come is nothing to who writes all of it.
  for (const auto& node : nodes) (void)node->bring_home(shared_from_this(), false);
}

void Buffer::look(bool writes) noexcept {
  views_.fetch_add(1, std::memory_order_acq_rel);
  if (writes) writable_views_.fetch_add(1, std::memory_order_acq_rel);
}

void Buffer::look_away(bool writes) noexcept {
  if (writes) writable_views_.fetch_sub(1, std::memory_order_acq_rel);
  views_.fetch_sub(1, std::memory_order_acq_rel);
}

void Buffer::tell(const std::shared_ptr<NodeLink>& node) {
  std::lock_guard guard(mutex_);
  for (const auto& known : told_) {
    if (known == node) return;
  }
  told_.push_back(node);
}

}  // namespace troupe::actors
