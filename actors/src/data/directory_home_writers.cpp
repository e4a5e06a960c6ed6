// The directory: tasks that write in host memory, and who has to wait for them.
#include <algorithm>

#include "data/directory.hpp"
#include "tasks.hpp"

namespace troupe::actors {

void Directory::write_at_home(Buffer& buffer, const PartUse& use) {
  if (find(buffer) == nullptr) {
    (void)buffer.changed_at_home();
    return;
  }
  auto& known = entry(buffer);
  known.changed = now_;
  for (auto& part : known.parts) {
    if (!use.meets(part.piece.box)) continue;
    drop_all(part, buffer.number());
    part.newest = -1;
    part.written_since = true;
  }
  erase_parts(known, [&](const Part& part) { return !part.moves() && use.meets(part.piece.box); });
  known.version = any_newest(known) ? buffer.changed_partly_at_home(self_.get()) : buffer.changed_at_home();
}

/// Whether chips that are about to fetch other parts have to hear of it: they have no pieces.
bool Directory::writes_a_part(std::span<const Operand> tensors, const Buffer& buffer) const {
  return chips_ == 1 &&
         std::any_of(tensors.begin(), tensors.end(),
                     [&](const Operand& it) { return it.buffer == &buffer && !is_whole(it); }) &&
         !several_nodes();
}

void Directory::note_home_writer(const PartUse& use, std::int32_t executor, const TaskRequest& request) {
  const bool on_chip = executors_[static_cast<std::size_t>(executor)] == ExecutorKind::chip;
  const auto& tensors = arguments_of(*request.body, request.key.member).tensors;
  home_writers_.push_back({use.buffer->number(), executor, request.ticket, request.key.run, use.box, now_,
                           on_chip || writes_a_part(tensors, *use.buffer)});
}

/// Those that have ended. A chip that copied there meanwhile, for a task without an order to them, may have
/// some of the bytes from before and some from after: that is no copy for those that come now.
void Directory::forget_home_writers() {
  std::erase_if(home_writers_, [&](const HomeWriter& writer) {
    if (unfinished_ && unfinished_(writer.executor, writer.task)) return false;
    auto* known = find(writer.buffer);
    if (known == nullptr) return true;
    for (auto& part : known->parts) {
      if (part.newest < 0 && part.used > writer.since && runtime::overlaps(part.piece.box, writer.box))
        drop_all(part, writer.buffer);
    }
    return true;
  });
}

/// Whether what a chip would fetch for the task is being written in host memory. By the device, which brings
/// its bytes home only when its task has ended; or, where the buffer has no pieces, by who writes another
/// part of it: without an order to this task, but its bytes would be fetched along, half written, and would
/// count as good. Only tasks of one run wait for each other so: a host function may wait for a run of its
/// own.
bool Directory::waits_for_home_writer(const PartUse& use, const TaskRequest& request) const {
  if (!unfinished_) return false;
  return std::any_of(home_writers_.begin(), home_writers_.end(), [&](const HomeWriter& it) {
    return it.buffer == use.buffer->number() && it.delays &&
           (!request.depends.empty() || (chips_ == 1 && it.run == request.key.run)) && use.meets(it.box) &&
           unfinished_(it.executor, it.task);
  });
}

}  // namespace troupe::actors
