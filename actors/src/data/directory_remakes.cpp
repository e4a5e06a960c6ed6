// The directory: what was lost with a chip, and the tasks that make it again.
#include <algorithm>
#include <map>
#include <set>

#include "data/directory.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// Set in the attempt of a task's key when it runs again for its bytes: no attempt of its run has it.
constexpr std::uint32_t remake_bit = 0x8000'0000U;
/// A task whose chips die under it is not run for ever.
constexpr std::uint32_t most_attempts = 10;

}  // namespace

/// What was only on a chip that is gone.
struct Directory::LostWork {
  std::map<std::uint64_t, std::vector<std::pair<Entry*, Part*>>> pieces;  ///< by when they were written
  std::set<const Entry*> hopeless;                                        ///< they cannot be made again
  std::map<const Buffer*, Entry*> known;
  std::vector<std::shared_ptr<Buffer>> alive;  ///< those in `known`
};

// --- before it happens: who wrote what -----------------------------------------------------------

/// Nothing that it reads is changed by it, and nothing outside is. Of a plan's tasks, only those with all
/// their edges become one (plan/fuse.cpp).
bool Directory::can_be_remade(const TaskRequest& request, std::int32_t executor) const {
  const auto& body = *request.body;
  if (executors_[static_cast<std::size_t>(executor)] != ExecutorKind::chip || request.members != 1 ||
      !request.memory || !request.at_home.empty() || body.callable->data_task != DataTask::none ||
      (body.extras && (!body.extras->members.empty() || !body.extras->domains.empty()))) {
    return false;
  }
  return std::all_of(body.args.tensors.begin(), body.args.tensors.end(), [&](const Operand& operand) {
    if (operand.tensor.bytes() == 0) return true;
    if (operand.buffer == nullptr) return false;
    if (operand.tag == runtime::Tag::in) return true;
    // What writes a part of a piece leaves the rest as it was.
    return operand.tag == runtime::Tag::out && (is_whole(operand) || (in_pieces() && !box_of(operand).hull));
  });
}

/// What a task of a plan writes for itself alone, and gets anew when it runs again; null: nothing.
const Operand* Directory::workspace_of(const TaskBody& body) {
  const auto* bundle = body.callable->bundle.get();
  return bundle != nullptr && has_workspace(*bundle) ? &body.args.tensors.back() : nullptr;
}

/// Copies a name only where the task has one of its own.
void Directory::Writer::is(const TaskBody& body) {
  const bool own = body.extras && (body.extras->owned || !body.extras->name.empty());
  callable_ = own ? nullptr : body.callable;
  own ? (void)own_.assign(body.name()) : own_.clear();
}

void Directory::note_origin(Part& part, const TaskRequest& request, std::size_t argument, bool remakeable) {
  part.written = now_;
  part.writer.is(*request.body);
  const auto* workspace = workspace_of(*request.body);
  if (workspace != nullptr && workspace == &request.body->args.tensors[argument]) {
    part.origin = {};
  } else if (const auto* again = remake_of(request.key)) {
    part.written = again->written;  // the bytes are those of that time
    part.origin = again->origin;
  } else if (remakeable) {
    request.body->kept = true;
    part.origin = {request.body, request.memory, request.key};
  } else if (part.origin.body) {
    part.origin = {};
  }
}

// --- when it happens -----------------------------------------------------------------------------

Directory::Remake* Directory::remake_of(const TaskKey& key) {
  const auto found =
      std::find_if(remakes_.begin(), remakes_.end(), [&](const Remake& it) { return it.key == key; });
  return found == remakes_.end() ? nullptr : &*found;
}

Directory::LostWork Directory::lost_work(std::int32_t chip) {
  LostWork work;
  for (auto& [number, known] : entries_) {
    auto buffer = known.buffer.lock();
    if (!buffer) continue;
    for (auto& part : known.parts) {
      if (part.newest != chip) continue;
      const auto being_made = std::find_if(remakes_.begin(), remakes_.end(), [&](const Remake& it) {
        return it.key.run == part.origin.key.run && it.key.task == part.origin.key.task;
      });
      // What was being written is the task's own affair, unless it was being made again.
      const bool ended = !unfinished_ || !unfinished_(chip, part.last);
      const bool possible = being_made == remakes_.end() ? ended : being_made->attempts < most_attempts;
      if (part.origin.body && possible) {
        work.pieces[part.written].emplace_back(&known, &part);
      } else {
        work.hopeless.insert(&known);
      }
    }
    work.known.emplace(buffer.get(), &known);
    work.alive.push_back(std::move(buffer));
  }
  return work;
}

/// All that the task wrote is lost, and all that it read is still what it was, or can be made again too.
bool Directory::can_be_remade(const LostWork& work, std::uint64_t when) const {
  const auto& pieces = work.pieces.at(when);
  const auto& origin = pieces.front().second->origin;
  const auto run = origin.run.lock();
  if (!run || !run->is_open()) return false;
  std::size_t outputs = 0;
  const auto* workspace = workspace_of(*origin.body);  // its buffer may be gone
  for (const auto& operand : origin.body->args.tensors) {
    if (operand.tensor.bytes() == 0 || &operand == workspace) continue;
    const auto known = work.known.find(operand.buffer);
    if (known == work.known.end() || work.hopeless.count(known->second) != 0) return false;
    if (known->first->loss_in(box_of(operand))) return false;
    if (operand.tag == runtime::Tag::out) {
      ++outputs;
      continue;
    }
    const auto& entry = *known->second;
    const auto& buffer = *known->first;
    if (entry.changed > when || entry.version != buffer.version() || is_far(buffer)) return false;
    const auto box = box_of(operand);
    const bool same = std::all_of(entry.parts.begin(), entry.parts.end(), [&](const Part& part) {
      return part.written < when || !runtime::overlaps(part.piece.box, box);
    });
    if (!same) return false;
  }
  return outputs == pieces.size();
}

/// Decides what is made again, and orders it: what one task needs of another that runs again comes first.
void Directory::plan_remakes(std::int32_t chip) {
  if (!recovers_) return;
  auto work = lost_work(chip);
  const auto drop = [&](auto piece) {
    for (const auto& [entry, part] : piece->second) work.hopeless.insert(entry);
    return work.pieces.erase(piece);
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (auto piece = work.pieces.begin(); piece != work.pieces.end();) {
      const bool can = can_be_remade(work, piece->first);
      changed = changed || !can;
      piece = can ? std::next(piece) : drop(piece);
    }
  }
  for (auto piece = work.pieces.begin(); piece != work.pieces.end();)
    piece = order_remake(work, piece->first, chip) ? std::next(piece) : drop(piece);
}

bool Directory::order_remake(const LostWork& work, std::uint64_t when, std::int32_t chip) {
  const auto& pieces = work.pieces.at(when);
  Remake remake;
  remake.written = when;
  remake.died_on = chip;
  remake.origin = pieces.front().second->origin;
  remake.run = remake.origin.run.lock();
  if (!remake.run || !remake.run->begin_remake()) return false;
  remake.key = remake.origin.key;
  const auto before = std::find_if(remakes_.begin(), remakes_.end(), [&](const Remake& it) {
    return it.key.run == remake.key.run && it.key.task == remake.key.task;
  });
  if (before != remakes_.end()) {
    remake.attempts = before->attempts + 1;
    before->run->end_remake(false);
    remakes_.erase(before);
  }
  const auto* workspace = workspace_of(*remake.origin.body);
  for (const auto& operand : remake.origin.body->args.tensors) {
    if (operand.tensor.bytes() == 0 || &operand == workspace) continue;
    auto& boxes = operand.tag == runtime::Tag::out ? remake.writes : remake.reads;
    boxes.emplace_back(operand.buffer, box_of(operand));
    remake.buffers.push_back(work.known.at(operand.buffer)->buffer.lock());
  }
  for (const auto& [entry, part] : pieces) {
    part->lost = true;
    remake.outputs.emplace_back(entry->buffer.lock()->number(), part->piece.number);
  }
  send_again(remakes_.emplace_back(std::move(remake)));
  return true;
}

void Directory::send_again(Remake& remake) {
  remake.key.attempt = remake_bit | (++remake_count_ & ~remake_bit);
  TaskRequest request;
  request.key = remake.key;
  request.body = remake.origin.body;
  // It keeps its buffers, which its run may have let go meanwhile.
  auto keeps = std::make_shared<std::pair<std::shared_ptr<RunHold>, std::vector<std::shared_ptr<Buffer>>>>(
      remake.run, remake.buffers);
  if (const auto* workspace = workspace_of(*request.body)) {
    const auto anew = std::make_shared<TaskBody>(*request.body);
    keeps->second.push_back(remake.buffers.front()->intermediate(workspace->tensor));
    anew->args.tensors.back().buffer = keeps->second.back().get();
    request.body = anew;
  }
  request.memory = std::shared_ptr<RunHold>(keeps, remake.run.get());
  to_remake_.push_back(std::move(request));
}

// --- afterwards ----------------------------------------------------------------------------------

/// The host has written it, or nobody has it any more.
bool Directory::is_obsolete(const Remake& remake) const {
  return std::any_of(remake.outputs.begin(), remake.outputs.end(), [&](const auto& output) {
    const auto* known = find(output.first);
    if (known == nullptr) return true;
    const auto part = std::find_if(known->parts.begin(), known->parts.end(),
                                   [&](const Part& it) { return it.piece.number == output.second; });
    const auto buffer = known->buffer.lock();
    return part == known->parts.end() || !part->lost || !buffer || buffer->is_lost() ||
           buffer->version() != known->version;
  });
}

/// What it reads is what it was when it ran first: no task changes it meanwhile, but the host may.
bool Directory::has_inputs(const Remake& remake) const {
  return std::all_of(remake.reads.begin(), remake.reads.end(), [&](const auto& it) {
    const auto* known = find(*it.first);
    return known != nullptr && known->version == it.first->version() && known->changed <= remake.written &&
           !it.first->loss_in(it.second);
  });
}

bool Directory::is_being_made(std::uint64_t buffer, const Part& part) const {
  return std::any_of(remakes_.begin(), remakes_.end(), [&](const Remake& it) {
    return std::find(it.outputs.begin(), it.outputs.end(), std::pair(buffer, part.piece.number)) !=
           it.outputs.end();
  });
}

bool Directory::waits_for_remake(const TaskRequest& request, const PartUse& use) const {
  if (remakes_.empty()) return false;
  const auto* own = remake_of(request.key);
  const auto met = [&](const auto& boxes) {
    return std::any_of(boxes.begin(), boxes.end(),
                       [&](const auto& it) { return it.first == use.buffer && use.meets(it.second); });
  };
  return std::any_of(remakes_.begin(), remakes_.end(), [&](const Remake& it) {
    if (own != nullptr) return it.written < own->written && met(it.writes);
    return met(it.writes) || (use.writes && met(it.reads));
  });
}

bool Directory::remakes_for(RunId run) const {
  return std::any_of(remakes_.begin(), remakes_.end(), [run](const Remake& it) { return it.key.run == run; });
}

bool Directory::remade(const TaskResult& result) {
  if ((result.key.attempt & remake_bit) == 0) return false;
  auto* known = remake_of(result.key);
  if (known == nullptr) return true;  // it runs once more
  bool sent = false, waits = false;
  for (const auto& [number, piece] : known->outputs) {
    auto* entry = find(number);
    const auto* part = entry == nullptr ? nullptr : part_of(*entry, piece);
    sent = sent || (part != nullptr && part->newest >= 0);
    waits = waits || (part != nullptr && part->lost);
  }
  const bool lost = result.outcome == Outcome::lost;
  if (lost && sent && recovers_) return known->lost = true;  // the end of its chip decides
  if (lost && waits && recovers_) {                          // it had not begun
    send_again(*known);
    return true;
  }
  const auto remake = std::move(*known);
  remakes_.erase(remakes_.begin() + (known - remakes_.data()));
  const Error failed(Errc::task_failed, "it did not run to its end");
  auto error = result.outcome == Outcome::done ? std::nullopt
               : lost && !sent && !waits       ? std::nullopt  // its bytes had come home before
                                               : std::optional<Error>(result.error.value_or(failed));
  if (!error && !has_inputs(remake))
    error = Error(Errc::task_failed, "what it read has been written meanwhile");
  end_remake(remake, error, result.outcome == Outcome::done);
  return true;
}

/// Those that went with a chip and are not tried again.
void Directory::end_remakes_lost(const Error& why) {
  for (std::size_t i = 0; i < remakes_.size();) {
    if (!remakes_[i].lost) {
      ++i;
      continue;
    }
    const auto remake = std::move(remakes_[i]);
    remakes_.erase(remakes_.begin() + static_cast<std::ptrdiff_t>(i));
    end_remake(remake, why);
  }
}

/// Who waits for the bytes gets them, or hears that there are none.
void Directory::end_remake(const Remake& remake, const std::optional<Error>& error, bool made) {
  const auto lost = [&](const Buffer& buffer) {
    Error it(Errc::data_lost,
             "the newest bytes of " + buffer.title() + " were only on " + path_of(remake.died_on) +
                 ", which is gone, and task \"" + std::string(remake.origin.body->name()) +
                 "\", which wrote them, could not make them again",
             write_again);
    return error ? it.caused_by(*error) : it;
  };
  for (const auto& [number, piece] : remake.outputs) {
    auto* entry = find(number);
    auto* part = entry == nullptr ? nullptr : part_of(*entry, piece);
    const auto buffer = part == nullptr ? nullptr : entry->buffer.lock();
    if (!buffer) continue;
    if (!error && part->newest >= 0) {
      if (!part->waiting.empty() && !part->coming) order_store(buffer, piece, part->newest, *part);
      continue;
    }
    const auto waiting = part->moves() ? std::vector<Then>() : std::exchange(part->waiting, {});
    if (error && (part->lost || part->newest >= 0 || part->written == remake.written)) {
      drop_all(*part, number);
      part->newest = -1;
      part->lost = false;
      part->written_since = true;
      buffer->lose_if_kept_by(self_.get(), lost(*buffer));
    }
    if (!part->moves() && part->copies.empty()) erase(*entry, *part);
    const auto why = buffer->is_lost() ? std::optional<Error>(buffer->loss()) : std::nullopt;
    for (const auto& then : waiting) {
      if (then) then(why);
    }
  }
  remake.run->end_remake(made && !error);
}

}  // namespace troupe::actors
