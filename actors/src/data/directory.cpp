#include "data/directory.hpp"

#include <algorithm>
#include <atomic>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Of one buffer; beyond that, pieces that host memory has too are given up.
constexpr std::size_t many_pieces = 4096;

/// Only tells directories apart.
std::uint64_t next_directory() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

bool has(const std::vector<std::int32_t>& chips, std::int32_t chip) {
  return std::find(chips.begin(), chips.end(), chip) != chips.end();
}

}  // namespace

Directory::Directory(std::shared_ptr<NodeLink> self, Unfinished unfinished, bool remakes)
    : self_(std::move(self)),
      number_(next_directory()),
      unfinished_(std::move(unfinished)),
      recovers_(remakes) {}

void Directory::add(ExecutorKind kind, std::string name) {
  executors_.push_back(kind);
  names_.push_back(std::move(name));
  moves_.push_back(0);
  if (kind == ExecutorKind::chip) ++chips_;
}

Directory::Entry* Directory::find(std::uint64_t buffer) {
  const auto known = entries_.find(buffer);
  return known == entries_.end() ? nullptr : &known->second;
}
const Directory::Entry* Directory::find(std::uint64_t buffer) const {
  return const_cast<Directory*>(this)->find(buffer);
}
/// Most buffers are used by one node: then nothing is looked up.
Directory::Entry* Directory::find(const Buffer& buffer) {
  auto* known = buffer.known_to(number_);
  return known != nullptr ? static_cast<Entry*>(known) : find(buffer.number());
}

Directory::Part* Directory::part_of(Entry& entry, std::uint32_t number) {
  for (auto& part : entry.parts) {
    if (part.piece.number == number) return &part;
  }
  return nullptr;
}

void Directory::erase(Entry& entry, const Part& part) {
  entry.changed = std::max(entry.changed, part.written);
  entry.parts.erase(entry.parts.begin() + (&part - entry.parts.data()));
  if (entry.parts.size() < 2) entry.nested = false;
}

DataOrders& Directory::orders(std::int32_t chip) {
  for (auto& [of, list] : orders_) {
    if (of == chip) return list;
  }
  return orders_.emplace_back(chip, DataOrders{}).second;
}

std::vector<std::pair<std::int32_t, DataOrders>> Directory::take_orders() {
  answer_rooms();
  return std::exchange(orders_, {});
}

bool Directory::several_nodes() const {
  const auto* services = self_->services();
  return services != nullptr && services->several_nodes();
}

bool Directory::is_far(const Buffer& buffer) const {
  const auto* keeper = buffer.kept_by();
  return keeper != nullptr && keeper != self_.get();
}

void Directory::drop_all(Part& part, std::uint64_t buffer, std::int32_t but) {
  const bool stays = has(part.copies, but);
  for (const auto chip : part.copies) {
    if (chip != but) order_drop(chip, {buffer, part.piece.number});
  }
  part.copies.clear();
  part.also.clear();
  part.passing.clear();
  part.only_by_home = false;
  if (stays) part.copies.push_back(but);
}

void Directory::outdate(Entry& entry, std::uint64_t buffer) {
  for (auto& part : entry.parts) {
    drop_all(part, buffer);
    part.newest = -1;
    part.lost = false;
    part.written_since = true;
  }
  erase_parts(entry, [](const Part& part) { return !part.moves() && part.waiting.empty(); });
  entry.nested = entry.parts.size() > 1;
  entry.changed = now_ != 0 ? now_ : ++clock_;
}

/// What is known of a buffer; copies of an earlier version are dropped here.
Directory::Entry& Directory::entry(Buffer& buffer) {
  auto* known = find(buffer);
  const bool fresh = known == nullptr;
  if (fresh) known = &entries_.try_emplace(buffer.number()).first->second;
  auto& entry = *known;
  if (fresh) {
    entry.buffer = buffer.weak_from_this();
    entry.bytes = buffer.bytes();
    entry.version = buffer.version();
    entry.changed = now_ != 0 ? now_ : ++clock_;
    buffer.tell(self_);
    (void)buffer.set_known(number_, known);
  } else if (entry.version != buffer.version()) {
    outdate(entry, buffer.number());
    entry.version = buffer.version();
  }
  return entry;
}

// --- what tasks need -----------------------------------------------------------------------------

/// Host memory has what the last task that ended left: those that were sent to write it since have not ended.
bool Directory::home_is_good(const Part& part) const {
  if (part.lost) return false;
  return part.newest < 0 || (part.home_before && unfinished_ && unfinished_(part.newest, part.since));
}

/// The piece whose copy a task uses on that chip, or would make; null: one that is not known yet.
const Directory::Part* Directory::used(const Entry& entry, const PartUse& use, std::int32_t chip) {
  // Number 0 is all of the buffer.
  if (use.whole && entry.parts.size() == 1 && entry.parts.front().piece.number == 0)
    return &entry.parts.front();
  const Part *exact = nullptr, *around = nullptr;
  for (const auto& part : entry.parts) {
    const auto& box = part.piece.box;
    if (box == use.box) {
      exact = &part;
    } else if (box.rank == 0 && runtime::covers(box, use.box) &&
               (use.writes ? part.newest == chip
                           : (part.newest < 0 || part.has_newest(chip)) && has(part.copies, chip))) {
      around = &part;
    }
  }
  if (around == nullptr || exact == nullptr) return exact != nullptr ? exact : around;
  return (use.writes ? exact->newest == chip : has(exact->copies, chip)) ? exact : around;
}

/// Whether the task uses the argument in host memory.
bool Directory::works_at_home(const TaskRequest& request, std::int32_t executor, std::size_t argument) const {
  return executors_[static_cast<std::size_t>(executor)] != ExecutorKind::chip ||
         std::binary_search(request.at_home.begin(), request.at_home.end(),
                            static_cast<std::uint32_t>(argument));
}

/// Those that write come first: they make pieces out of date that others would have been read from.
template <class Visit>
void Directory::for_each_use(const TaskRequest& request, std::int32_t executor, Visit visit) const {
  const auto& args = arguments_of(*request.body, request.key.member);
  const bool in_parts =
      in_pieces() && std::any_of(args.tensors.begin(), args.tensors.end(),
                                 [](const auto& it) { return it.buffer != nullptr && !is_whole(it); });
  if (in_parts) {
    const auto uses = part_uses(args, [&](std::size_t i) { return works_at_home(request, executor, i); });
    for (const bool writes : {true, false}) {
      for (const auto& use : uses) {
        if (use.writes == writes) visit(use);
      }
    }
    return;
  }
  for_each_buffer(args, [&](const BufferUse& use) {
    visit(PartUse{use.buffer, use.argument, true, works_at_home(request, executor, use.argument), use.reads,
                  use.writes, whole_box(*use.buffer)});
  });
}

Directory::Needs Directory::needs(const TaskRequest& request, std::int32_t executor) const {
  Needs needs;
  const auto* remake = remake_of(request.key);
  if (remake != nullptr && (is_obsolete(*remake) || !has_inputs(*remake))) {
    needs.refused = Error(Errc::cancelled, "what it works on has been written since");
    return needs;
  }
  for (const auto& operand : arguments_of(*request.body, request.key.member).tensors) {
    if (operand.buffer == nullptr || !operand.buffer->has_losses() || !runtime::reads(operand.tag)) continue;
    if (!needs.refused && operand.tensor.bytes() != 0)
      needs.refused = operand.buffer->loss_in(box_of(operand));
  }
  for_each_use(request, executor, [&](const PartUse& use) {
    auto& buffer = *use.buffer;
    needs.after_others = needs.after_others || waits_for_remake(request, use);
    const auto before = needs.home.size();
    if (is_far(buffer)) needs.home.push_back({buffer.shared_from_this()});
    const auto* known = find(buffer);
    if (known == nullptr) {
      // Nobody has a copy.
    } else if (known->version == buffer.version()) {
      add_missing(*known, use, executor, request, needs);
    } else {
      // It is out of date, but bytes of it are still on their way into host memory.
      for (const auto& part : known->parts) {
        if (part.moves() && use.meets(part.piece.box))
          needs.home.push_back({buffer.shared_from_this(), part.piece.number});
      }
    }
    if (known != nullptr && needs.home.size() != before && known->trouble && !needs.refused)
      needs.refused = known->trouble;
    if (use.at_home || !use.reads || home_writers_.empty() || !waits_for_home_writer(use, request)) return;
    const auto* mine = known == nullptr ? nullptr : used(*known, use, executor);
    needs.after_others = needs.after_others || mine == nullptr || !has(mine->copies, executor);
  });
  return needs;
}

// --- what tasks do -------------------------------------------------------------------------------

void Directory::dispatch(TaskRequest& request, std::int32_t executor) {
  const bool on_chip = executors_[static_cast<std::size_t>(executor)] == ExecutorKind::chip;
  const bool evicts = request.body->callable->data_task == DataTask::evict;
  const auto& tensors = arguments_of(*request.body, request.key.member).tensors;
  const bool remakeable = recovers_ && on_chip && can_be_remade(request, executor);
  now_ = ++clock_;
  for (const auto& operand : tensors) {
    if (operand.buffer == nullptr || !operand.buffer->has_losses() || operand.tensor.bytes() == 0) continue;
    if (runtime::writes(operand.tag) && !runtime::reads(operand.tag) && remake_of(request.key) == nullptr)
      operand.buffer->rewrite(box_of(operand));
  }
  request.pieces.clear();
  if (!home_writers_.empty()) forget_home_writers();
  for_each_use(request, executor, [&](const PartUse& use) {
    auto& buffer = *use.buffer;
    if (use.writes && !use.reads && use.whole && buffer.is_lost() && remake_of(request.key) == nullptr)
      buffer.forgive();
    if (use.at_home) {
      auto* known = find(buffer);
      if (use.writes) write_at_home(buffer, use);
      if (use.writes && chips_ != 0) note_home_writer(use, executor, request);
      if (evicts && known != nullptr) {
        for (auto& part : known->parts) {
          if (use.meets(part.piece.box)) drop_all(part, buffer.number());
        }
      }
      return;
    }
    auto& known = entry(buffer);
    const auto piece = place_of(known, use, executor).piece;
    const bool was_elsewhere = use.writes && outdate_met(known, buffer.number(), use, piece.number);
    auto& part = *part_of(known, piece.number);
    part.used = now_;
    if (!has(part.copies, executor)) part.copies.push_back(executor);
    if (use.writes) {
      write_on(known, part, buffer, executor, request, was_elsewhere);
      note_origin(part, request, use.argument, remakeable);
    }
    if (piece.number == 0) return;
    request.pieces.reserve(tensors.size());
    for (std::size_t i = use.argument; i < tensors.size(); ++i) {
      if (tensors[i].buffer == use.buffer && !works_at_home(request, executor, i) &&
          runtime::covers(use.box, box_of(tensors[i]))) {
        request.pieces.push_back({static_cast<std::uint32_t>(i), piece});
      }
    }
  });
  std::sort(request.pieces.begin(), request.pieces.end(),
            [](const PieceUse& a, const PieceUse& b) { return a.argument < b.argument; });
  now_ = 0;
}

/// The piece that a task uses on that chip.
Directory::Part& Directory::place_of(Entry& entry, const PartUse& use, std::int32_t chip) {
  if (const auto* known = used(entry, use, chip)) return const_cast<Part&>(*known);
  if (entry.parts.size() >= many_pieces) {
    // Another argument of the same task may be one of them.
    const auto goes = [&](const Part& part) {
      return part.newest < 0 && !part.lost && !part.moves() && part.used != now_;
    };
    for (auto& part : entry.parts) {
      if (goes(part)) drop_all(part, use.buffer->number());
    }
    erase_parts(entry, goes);
  }
  entry.nested = entry.nested || std::any_of(entry.parts.begin(), entry.parts.end(),
                                             [&](const Part& part) { return use.meets(part.piece.box); });
  const bool all = use.box == whole_box(*use.buffer);
  return entry.parts.emplace_back(Part{{all ? 0 : ++entry.last_piece, use.box}});
}

/// Copies of what meets what is written go, but those of the piece `but`. Says whether a newer version than
/// host memory's went, also one that another task is writing right now, without an order to this one.
bool Directory::outdate_met(Entry& entry, std::uint64_t buffer, const PartUse& use, std::uint32_t but) {
  if (!entry.nested) return false;
  bool newer = false;
  for (auto& part : entry.parts) {
    if (part.piece.number == but || !use.meets(part.piece.box)) continue;
    newer = newer || part.newest >= 0 || part.lost;
    drop_all(part, buffer);
    part.newest = -1;
    part.written_since = true;
  }
  erase_parts(entry, [&](const Part& part) {
    return part.piece.number != but && part.newest < 0 && !part.moves() && use.meets(part.piece.box);
  });
  return newer;
}

void Directory::write_on(Entry& entry, Part& part, Buffer& buffer, std::int32_t chip,
                         const TaskRequest& request, bool was_elsewhere) {
  const bool had = part.has_newest(chip);
  if (part.copies.size() > 1) drop_all(part, buffer.number(), chip);
  part.also.clear();
  part.written_since = true;
  const auto last = std::exchange(part.last, request.ticket);
  if (part.newest == chip) return;
  const bool one = part.newest >= 0 && part.home_before && part.since == last && !was_elsewhere;
  part.displaced_on = one && part.displaced_on < 0 ? part.newest : -1;
  part.displaced = one ? part.since : 0;
  part.home_before = !was_elsewhere && part.newest < 0 && !part.lost;
  part.there_before = !was_elsewhere && had && !part.lost;
  part.newest = chip;
  part.lost = false;
  part.since = request.ticket;
  entry.version = buffer.claim(self_);
}

// --- to be asked ---------------------------------------------------------------------------------

bool Directory::any_newest(const Entry& entry) {
  return std::any_of(entry.parts.begin(), entry.parts.end(),
                     [](const Part& part) { return part.newest >= 0 || part.lost; });
}

bool Directory::is_storing(std::int32_t chip) const {
  return std::any_of(entries_.begin(), entries_.end(), [chip](const auto& known) {
    const auto& parts = known.second.parts;
    return std::any_of(parts.begin(), parts.end(), [chip](const Part& part) {
      return part.put_away_by == chip || (part.coming && part.from == chip);
    });
  });
}

bool Directory::has_newest(std::int32_t chip) const {
  return std::any_of(entries_.begin(), entries_.end(), [chip](const auto& known) {
    const auto& parts = known.second.parts;
    const auto buffer = known.second.buffer.lock();
    return buffer && known.second.version == buffer->version() &&
           std::any_of(parts.begin(), parts.end(), [chip](const Part& part) { return part.newest == chip; });
  });
}

std::size_t Directory::pieces(std::uint64_t buffer) const {
  const auto* known = find(buffer);
  return known == nullptr ? 0 : known->parts.size();
}

std::int32_t Directory::newest(std::uint64_t buffer) const {
  const auto* known = find(buffer);
  if (known == nullptr) return -1;
  for (const auto& part : known->parts) {
    if (part.newest >= 0) return part.newest;
  }
  return -1;
}

}  // namespace troupe::actors
