// Graphs of a chip program: recorded when they are begun for the first time, replayed from then on.

#include <string>
#include <utility>

#include "engine/engine.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

std::string title_of(const std::string& name, const std::string& place) {
  return "graph '" + name + "' (" + place + ")";
}

Error refusal(const std::string& title, const std::string& why, const std::string& hint) {
  return {runtime::Errc::invalid_args, title + ": " + why, hint};
}

const char* const other_name = "give graphs that differ names that differ";

}  // namespace

bool ChipEngine::begin_graph(const troupe_chip_graph_v1& asked) {
  if (fatal() != 0) return false;
  Turn turn(*this);
  OpenGraph next;
  next.name.assign(asked.name, asked.name_size);
  next.place = std::string(asked.file != nullptr ? asked.file : "?") + ":" + std::to_string(asked.line);
  const std::string title = title_of(next.name, next.place);
  if (open_graph_.is_open) {
    schedule_.fail(refusal(title, "it is begun inside of graph '" + open_graph_.name + "'",
                           "a graph is a part of no other: submit its tasks without one"));
    return false;
  }
  for (std::uint32_t i = 0; i < asked.tensor_count; ++i)
    next.slots.push_back({unpack(asked.tensors[i].tensor), static_cast<runtime::Tag>(asked.tensors[i].tag)});
  if (!builder_.note_accesses(next.slots)) {
    if (const auto why = builder_.take_refusal())
      schedule_.fail(refusal(title, why->message(), "its tensors are those of this run, and no others"));
    return false;
  }
  const std::vector<std::uint8_t> kinds(asked.scalar_kinds, asked.scalar_kinds + asked.scalar_count);
  GraphRecording* known = book_.find(program_, next.name);
  if (known != nullptr && known->place != next.place) {
    schedule_.fail(refusal(title, "it was recorded at " + known->place, other_name));
    return false;
  }
  const auto wrong = known != nullptr ? known->slots.defect(next.slots, kinds) : std::nullopt;
  if (wrong) {
    schedule_.fail(refusal(title, *wrong, other_name));
    return false;
  }
  // What meant either of two tensors that were one is found out anew where they are two.
  const bool ambiguous = known != nullptr && !known->slots.tells_apart();
  const bool alike =
      known == nullptr || !(ambiguous || checks_.enabled()) || known->slots.shares_like(next.slots);
  if (known != nullptr && known->graph != nullptr && (!means_the_same(*known) || (ambiguous && !alike))) {
    book_.drop(program_, next.name);
    known = nullptr;
  }
  const bool kept = known != nullptr && known->graph != nullptr;
  if (kept && !checks_.enabled()) {
    replay(*known, next, {asked.scalars, asked.scalar_count}, kinds, turn.lock());
    return false;
  }
  if (auto begun = schedule_.graph().begin_scope(); !begun) {
    schedule_.fail(begun.error());
    return false;
  }
  next.is_open = true;
  // It was found to be nothing to keep, or cannot be compared: two tensors are one this time.
  const bool once_more = known != nullptr && (!kept || !alike);
  if (!holds_tasks() && !once_more)
    recorder_ = std::make_unique<GraphRecorder>(title, GraphSlots(next.slots, kinds));
  open_graph_ = std::move(next);
  return true;
}

void ChipEngine::end_graph(bool complete) {
  if (!open_graph_.is_open) return;
  open_graph_.is_open = false;
  const auto recorder = std::move(recorder_);
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (auto ended = schedule_.graph().end_scope(); !ended) return schedule_.fail(ended.error());
  if (!complete || recorder == nullptr) return;
  const auto& [is_open, name, place, slots] = open_graph_;
  // Side by side, what it makes would leave no room for others: then the arena gives it and takes it back.
  const bool fits = recorder->workspace_bytes() <= limits_.arena_bytes / 4;
  GraphRecording made{place, recorder->slots(), fits ? recorder->finish() : nullptr,
                      recorder->take_kernels()};
  if (const auto* known = book_.find(program_, name); known != nullptr && made.graph != nullptr) {
    if (const auto step = known->graph->differs_at(*made.graph)) {
      schedule_.fail(refusal(title_of(name, place),
                             "its task " + std::to_string(*step) + " differs from what was recorded",
                             "a replay submits what was recorded: make numbers that change scalars of the "
                             "graph, and choose tasks by predicates"));
    }
    return;
  }
  book_.keep(program_, name, std::move(made));
}

/// Names mean kernels anew in each run: whether these mean what they did.
bool ChipEngine::means_the_same(const GraphRecording& recording) {
  for (const auto& kernel : recording.kernels) {
    const KernelEntry* entry = table_.find(kernel.name.data(), kernel.name.size());
    if (entry == nullptr || entry != kernel.entry || entry->callable != kernel.callable) return false;
  }
  return true;
}

void ChipEngine::replay(const GraphRecording& recording, OpenGraph& given,
                        std::span<const std::uint64_t> scalars, const std::vector<std::uint8_t>& kinds,
                        Lock& lock) {
  const auto& graph = recording.graph;
  if (!check_together(graph->most_clusters, false) || !check_together(graph->most_aivs, true)) return;
  // Room may have to be waited for, and then others are asked for memory: everything is done behind that.
  if (!waits_.for_room(lock)) return;
  runtime::TaskGraph& tasks = schedule_.graph();
  if (auto begun = tasks.begin_scope(); !begun) return schedule_.fail(begun.error());
  GraphReplay& replay = replays_.take();
  replay.graph = graph;
  replay.name = given.name;
  replay.scalars.assign(scalars.begin(), scalars.end());
  replay.kinds = kinds;
  for (const auto& kernel : recording.kernels) replay.kernels.push_back(kernel.entry);
  auto accesses = builder_.accesses();
  std::vector<runtime::Access> all(accesses.begin(), accesses.end());
  std::optional<Error> why;
  if (graph->workspace_bytes != 0) {
    auto made = intermediates_.make(graph->workspace_bytes);
    if (made) {
      replay.workspace = *made;
      all.push_back(runtime::Access::whole(*made, graph->workspace_bytes, runtime::Tag::out));
    } else {
      why = made.error();
    }
  }
  replay.slots = std::move(given.slots);
  if (why) {
    replays_.give_back(replay);
    schedule_.fail(*why);
  } else {
    submit_replay(replay, all, lock);
  }
  if (auto ended = tasks.end_scope(); !ended) schedule_.fail(ended.error());
  if (pace_.submitted()) crew_.help(lock);
}

void ChipEngine::refuse_in_graph(const std::string& what, const std::string& hint) {
  schedule_.fail(recorder_->refuse(what, hint));
}

}  // namespace troupe::platform::sim
