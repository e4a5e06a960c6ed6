#include "data/directory.hpp"

#include <algorithm>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// What is smaller is quickly brought anywhere.
constexpr std::uint64_t worth_staying = 64ULL << 10U;

bool has(const std::vector<std::int32_t>& chips, std::int32_t chip) {
  return std::find(chips.begin(), chips.end(), chip) != chips.end();
}

}  // namespace

void Directory::add(ExecutorKind kind) {
  executors_.push_back(kind);
  if (kind == ExecutorKind::chip) ++chips_;
}

Directory::Entry* Directory::find(std::uint64_t buffer) {
  const auto known = entries_.find(buffer);
  return known == entries_.end() ? nullptr : &known->second;
}
const Directory::Entry* Directory::find(std::uint64_t buffer) const {
  return const_cast<Directory*>(this)->find(buffer);
}

DataOrders& Directory::orders(std::int32_t chip) {
  for (auto& [of, list] : orders_) {
    if (of == chip) return list;
  }
  return orders_.emplace_back(chip, DataOrders{}).second;
}

std::vector<std::pair<std::int32_t, DataOrders>> Directory::take_orders() {
  return std::exchange(orders_, {});
}

bool Directory::is_far(const Buffer& buffer) const {
  const auto* keeper = buffer.kept_by();
  return keeper != nullptr && keeper != self_.get();
}

void Directory::drop_all(Entry& entry, std::uint64_t buffer, std::int32_t but) {
  bool stays = false;
  for (const auto chip : entry.copies) {
    if (chip == but) {
      stays = true;
    } else {
      drop(chip, buffer);
    }
  }
  entry.copies.clear();
  if (stays) entry.copies.push_back(but);
}

/// What is known of a buffer; copies of an earlier version are dropped here.
Directory::Entry& Directory::entry(Buffer& buffer) {
  auto [known, fresh] = entries_.try_emplace(buffer.number());
  auto& entry = known->second;
  if (fresh) {
    entry.buffer = buffer.weak_from_this();
    entry.version = buffer.version();
    buffer.tell(self_);
  } else if (entry.version != buffer.version()) {
    drop_all(entry, buffer.number());
    entry.newest = -1;
    entry.version = buffer.version();
  }
  return entry;
}

// --- what tasks do -------------------------------------------------------------------------------

/// Host memory has what the last task that ended left: those that were sent to write it since have not ended.
bool Directory::home_is_good(const Entry& known) const {
  return known.newest < 0 || (known.home_before && unfinished_ && unfinished_(known.newest, known.since));
}

std::vector<std::uint32_t> Directory::stay_home(const Arguments& args, std::int32_t chip) const {
  std::vector<std::uint32_t> list;
  const auto* services = self_->services();
  if (chips_ < 2 && (services == nullptr || !services->several_nodes())) return list;
  const auto in_parts = [this, chip](const Operand& operand) {
    if (operand.buffer == nullptr) return false;
    if (!is_whole(operand)) return true;
    if (runtime::writes(operand.tag)) return false;
    const auto* known = find(operand.buffer->number());
    return known != nullptr && known->newest >= 0 && known->newest != chip && home_is_good(*known);
  };
  if (std::none_of(args.tensors.begin(), args.tensors.end(), in_parts)) return list;
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto* buffer = args.tensors[i].buffer;
    if (buffer != nullptr && std::any_of(args.tensors.begin(), args.tensors.end(), [&](const Operand& other) {
          return other.buffer == buffer && in_parts(other);
        })) {
      list.push_back(static_cast<std::uint32_t>(i));
    }
  }
  return list;
}

/// Whether the task uses it in host memory.
bool Directory::is_at_home(const TaskRequest& request, std::int32_t executor, const BufferUse& use) const {
  return executors_[static_cast<std::size_t>(executor)] != ExecutorKind::chip ||
         std::binary_search(request.at_home.begin(), request.at_home.end(), std::uint32_t{use.argument});
}

Directory::Needs Directory::needs(const TaskRequest& request, std::int32_t executor) const {
  Needs needs;
  for_each_buffer(arguments_of(*request.body, request.key.member), [&](const BufferUse& use) {
    const bool at_home = is_at_home(request, executor, use);
    auto& buffer = *use.buffer;
    if (buffer.is_lost() && use.reads && !needs.refused) needs.refused = buffer.loss();
    const auto* known = find(buffer.number());
    bool wanted = is_far(buffer);
    if (known != nullptr && known->version == buffer.version()) {
      // What follows its writer in the queue of the chip is not content with what was before it.
      const bool good = home_is_good(*known) && (known->newest != executor || request.depends.empty());
      const bool elsewhere = !good && (at_home || known->newest != executor);
      // What is on its way home is not to be written by another meanwhile.
      const bool busy = known->coming && (at_home || known->newest != executor);
      // A writer at home may not run in the end: what was before it has to be somewhere.
      wanted = wanted || busy || (elsewhere && (use.reads || at_home));
    }
    if (wanted && known != nullptr && known->trouble && !needs.refused) needs.refused = known->trouble;
    if (wanted) needs.home.push_back(buffer.shared_from_this());
    // The device brings its bytes home only when that has ended.
    if (known != nullptr && !at_home && use.reads && !request.depends.empty() && known->home_task != 0 &&
        !has(known->copies, executor) && unfinished_ && unfinished_(known->home_chip, known->home_task)) {
      needs.after_others = true;
    }
  });
  return needs;
}

void Directory::dispatch(const TaskRequest& request, std::int32_t executor) {
  const bool on_chip = executors_[static_cast<std::size_t>(executor)] == ExecutorKind::chip;
  const bool evicts = request.body->callable->data_task == DataTask::evict;
  for_each_buffer(arguments_of(*request.body, request.key.member), [&](const BufferUse& use) {
    if (use.writes && !use.reads && use.buffer->is_lost()) use.buffer->forgive();
    if (is_at_home(request, executor, use)) {
      if (use.writes) {
        auto* known = on_chip ? &entry(*use.buffer) : nullptr;
        write_at_home(*use.buffer);
        if (known != nullptr) {
          known->home_chip = executor;
          known->home_task = request.ticket;
        }
      }
      if (auto* known = find(use.buffer->number()); known != nullptr && evicts)
        drop_all(*known, use.buffer->number());
      return;
    }
    auto& known = entry(*use.buffer);
    if (!has(known.copies, executor)) known.copies.push_back(executor);
    if (use.writes) write_on(known, *use.buffer, executor, request.ticket);
  });
}

void Directory::write_on(Entry& known, Buffer& buffer, std::int32_t chip, Ticket ticket) {
  if (known.copies.size() > 1) drop_all(known, buffer.number(), chip);
  known.written_since = true;
  known.last = ticket;
  if (known.newest == chip) return;
  known.home_before = home_is_good(known);
  known.newest = chip;
  known.since = ticket;
  known.version = buffer.claim(self_);
}

void Directory::write_at_home(Buffer& buffer) {
  const auto version = buffer.changed_at_home();
  auto* known = find(buffer.number());
  if (known == nullptr) return;
  drop_all(*known, buffer.number());
  known->newest = -1;
  known->version = version;
}

std::int32_t Directory::nearest(const Arguments& args) const {
  std::int32_t chosen = -1;
  std::uint64_t most = worth_staying - 1;
  for (const auto& operand : args.tensors) {
    if (operand.buffer == nullptr || operand.buffer->bytes() <= most || operand.tag == runtime::Tag::out ||
        operand.tag == runtime::Tag::out_existing) {
      continue;
    }
    const auto* known = find(operand.buffer->number());
    if (known == nullptr || known->newest < 0 || known->version != operand.buffer->version()) continue;
    chosen = known->newest;
    most = operand.buffer->bytes();
  }
  return chosen;
}

bool Directory::has_newest(std::int32_t chip) const {
  return std::any_of(entries_.begin(), entries_.end(), [chip](const auto& known) {
    return known.second.newest == chip && !known.second.buffer.expired();
  });
}

std::int32_t Directory::newest(std::uint64_t buffer) const {
  const auto* known = find(buffer);
  return known == nullptr ? -1 : known->newest;
}

}  // namespace troupe::actors
