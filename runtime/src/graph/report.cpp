#include <string>

#include "graph/state.hpp"

namespace troupe::runtime {

using graph::none;
using graph::Slot;

namespace {

constexpr std::size_t names_shown = 8;

std::string plural(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace

std::string TaskGraph::State::name_of(std::uint32_t task) const {
  const std::string_view name = slots.info(task).name;
  return name.empty() ? "task #" + std::to_string(slots.info(task).serial) : "\"" + std::string(name) + "\"";
}

// "\"add\" (running on chip0)".
std::string TaskGraph::State::describe(std::uint32_t task, std::span<const std::string> names) const {
  const Slot& slot = slots[task];
  std::string text = name_of(task) + " (";
  switch (slot.state) {
    case TaskState::none:
      return text + "ended)";
    case TaskState::ready:
      return text + "ready)";
    case TaskState::blocked:
      return text + "waiting for memory)";
    case TaskState::running: {
      text += "running";
      if (slot.is(graph::on_executor)) {
        const std::size_t on = slots.info(task).executor;
        text += " on " + (on < names.size() ? names[on] : "executor " + std::to_string(on));
      }
      if (slots.info(task).members > 1) {
        text += ", " + std::to_string(slot.members) + " of " + std::to_string(slots.info(task).members) +
                " members out";
      }
      return text + ")";
    }
    case TaskState::pending:
      break;
  }
  return text + (slots.info(task).events != 0 ? "waiting for an event)" : "waiting)");
}

// Edges are kept at producers only; questions are rare and may walk.
std::vector<std::uint32_t> TaskGraph::State::producers_of(std::uint32_t task) const {
  std::vector<std::uint32_t> producers;
  for (std::uint32_t p = 0; p < slots.size(); ++p) {
    if (slots[p].state == TaskState::none) continue;
    bool found = false;
    for_successors(slots[p], [&](std::uint32_t word) { found |= (word & ~Slot::order_only) == task; });
    if (found) producers.push_back(p);
  }
  return producers;
}

std::string TaskGraph::State::why(std::uint32_t task, std::span<const std::string> names) const {
  const Slot& slot = slots[task];
  if (slot.state == TaskState::ready) return name_of(task) + " is ready: it waits for an executor";
  if (slot.state == TaskState::running && slot.pending == 0) return describe(task, names);
  std::string text = slot.state == TaskState::running ? describe(task, names) + ", queued behind"
                                                      : name_of(task) + " waits for";
  const auto producers = producers_of(task);
  const char* separator = " ";
  if (!producers.empty()) {
    text += " " + plural(producers.size(), "task") + ":";
    for (std::size_t i = 0; i < producers.size(); ++i) {
      if (i == names_shown) {
        text += " and " + std::to_string(producers.size() - names_shown) + " more";
        break;
      }
      text += (i == 0 ? " " : ", ") + describe(producers[i], names);
    }
    separator = "; ";
  }
  if (const std::uint32_t events = slots.info(task).events; events != 0) {
    text += separator + plural(events, "event");
    separator = "; ";
  }
  if (slot.unplaced != 0) {
    text += separator + std::string("memory:");
    const char* comma = " ";
    for (std::uint32_t c = slot.uses; c != none; c = chunks[c].next) {
      for (std::uint32_t i = 0; i < chunks[c].count; ++i) {
        const graph::Intermediate& m = intermediates[static_cast<std::uint32_t>(chunks[c].wide[i])];
        if (m.state != graph::Intermediate::State::queued) continue;
        const BlockArena& blocks = intermediates.arena(m.arena);
        text += comma + std::to_string(m.bytes) + " bytes" +
                (m.name.empty() ? std::string() : " for \"" + std::string(m.name) + "\"") + " in arena " +
                std::to_string(m.arena) + " (" + std::to_string(blocks.bytes() - blocks.used()) +
                " free, largest block " + std::to_string(blocks.largest_free()) + ")";
        comma = ", ";
      }
    }
  }
  if (slot.is(graph::poisoned))
    text += "; it will not run: " + failures.at(graph::pack(slots.id(task))).message();
  return text;
}

std::vector<std::uint32_t> TaskGraph::State::find_cycle() const {
  // Depth first along successors, without recursion; a path that meets itself is a cycle.
  std::vector<std::uint8_t> mark(slots.size(), 0);  // 1: on the path, 2: done
  struct Step {
    std::uint32_t task;
    std::vector<std::uint32_t> successors;
    std::size_t next = 0;
  };
  const auto enter = [&](std::uint32_t task) {
    mark[task] = 1;
    Step step{task, {}, 0};
    for_successors(slots[task],
                   [&](std::uint32_t word) { step.successors.push_back(word & ~Slot::order_only); });
    return step;
  };
  for (std::uint32_t root = 0; root < slots.size(); ++root) {
    if (slots[root].state == TaskState::none || mark[root] != 0) continue;
    std::vector<Step> path;
    path.push_back(enter(root));
    while (!path.empty()) {
      Step& top = path.back();
      if (top.next == top.successors.size()) {
        mark[top.task] = 2;
        path.pop_back();
        continue;
      }
      const std::uint32_t task = top.successors[top.next++];
      if (mark[task] == 1) {
        std::vector<std::uint32_t> cycle;
        for (const Step& step : path) {
          if (!cycle.empty() || step.task == task) cycle.push_back(step.task);
        }
        return cycle;
      }
      if (mark[task] == 0) path.push_back(enter(task));
    }
  }
  return {};
}

std::optional<Error> TaskGraph::State::deadlock() const {
  if (counts.live == 0 || counts.running != 0 || counts.ready != 0) return std::nullopt;
  const std::string stuck = "nothing runs and nothing is ready, but " + plural(counts.live, "task") + " wait";
  std::optional<Error> error;
  if (counts.blocked != 0) {
    std::uint32_t task = 0;
    while (slots[task].state != TaskState::blocked) ++task;
    return Error(Errc::heap_ring_deadlock,
                 stuck + (counts.live == 1 ? "s: " : ": ") + why(task, {}) + "\n" + intermediates.map(),
                 "give the arena more memory, end scopes or handles earlier, or use smaller intermediates");
  }
  if (const auto cycle = find_cycle(); !cycle.empty()) {
    std::string text = stuck + "; a cycle: ";
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      if (i == names_shown) {
        text += "... -> ";
        break;
      }
      text += name_of(cycle[i]) + " -> ";
    }
    error = Error(Errc::deadlock, text + name_of(cycle.front()), "remove one of these edges");
  } else {
    std::string text = stuck + ", for events that did not come:";
    std::size_t shown = 0;
    for (std::uint32_t task = 0; task < slots.size() && shown <= names_shown; ++task) {
      if (slots[task].state == TaskState::none || slots.info(task).events == 0) continue;
      text += shown == 0 ? " " : ", ";
      text += shown++ == names_shown ? "..."
                                     : name_of(task) + " (" + plural(slots.info(task).events, "event") + ")";
    }
    error = Error(Errc::deadlock, text, "signal them, or cancel");
  }
  if (has_room()) return error;
  return Error(Errc::flow_control_deadlock, "the task window is full and nothing in it can end",
               "make the window larger, or signal what it waits for")
      .caused_by(*error);
}

}  // namespace troupe::runtime
