// The directory: what has to be where before a task may go, and where it would rather go.
#include <algorithm>

#include "data/directory.hpp"
#include "tasks.hpp"

namespace troupe::actors {
namespace {

/// What is smaller is quickly brought anywhere.
constexpr std::uint64_t worth_staying = 64ULL << 10U;

/// Whether another member of the same group writes some of that buffer.
bool others_write(const TaskRequest& request, const Buffer& buffer) {
  if (request.members < 2) return false;
  const auto& own = arguments_of(*request.body, request.key.member);
  bool found = false;
  for_each_member(*request.body, [&](const Arguments& args) {
    found = found ||
            (&args != &own && std::any_of(args.tensors.begin(), args.tensors.end(), [&](const Operand& it) {
              return it.buffer == &buffer && runtime::writes(it.tag);
            }));
  });
  return found;
}

}  // namespace

bool Directory::must_stay(const Arguments& args, std::size_t argument, std::int32_t chip,
                          bool keeps_strides) const {
  const auto& operand = args.tensors[argument];
  if (operand.buffer == nullptr) return false;
  const bool whole = is_whole(operand);
  if (!whole && (several_nodes() || operand.tensor.bytes() == 0)) return true;
  const auto box = box_of(operand);
  if (!whole) {
    if (box.hull || (box.rank > 0 && keeps_strides)) return true;
    for (std::size_t i = 0; i < args.tensors.size(); ++i) {
      const auto& other = args.tensors[i];
      if (i == argument || other.buffer != operand.buffer || other.tensor.bytes() == 0) continue;
      const auto its = box_of(other);
      if (its == box || !runtime::overlaps(its, box)) continue;
      // One copy has both, at the steps of the larger.
      const bool inside = its.rank == 0 && runtime::covers(its, box);
      if (!inside && !(box.rank == 0 && runtime::covers(box, its))) return true;
    }
  }
  const auto* known = find(*operand.buffer);
  if (runtime::writes(operand.tag) || known == nullptr) return false;
  const PartUse use{operand.buffer, 0, whole, false, true, false, box};
  const auto* mine = used(*known, use, chip);
  if (mine != nullptr && mine->newest < 0) return false;
  return std::any_of(known->parts.begin(), known->parts.end(), [&](const Part& part) {
    return part.newest >= 0 && !(&part == mine && part.newest == chip) && use.meets(part.piece.box) &&
           home_is_good(part);
  });
}

std::vector<std::uint32_t> Directory::stay_home(const Arguments& args, std::int32_t chip,
                                                bool keeps_strides) const {
  std::vector<std::uint32_t> list;
  if (chips_ < 2 && !several_nodes()) return list;
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    if (must_stay(args, i, chip, keeps_strides)) list.push_back(static_cast<std::uint32_t>(i));
  }
  if (list.empty()) return list;
  // A task uses a buffer in one place.
  const auto given = list.size();
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto& operand = args.tensors[i];
    if (operand.buffer == nullptr) continue;
    const bool with_others =
        std::any_of(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(given), [&](auto other) {
          return args.tensors[other].buffer == operand.buffer && args.tensors[other].tensor.bytes() > 0;
        });
    if (with_others) list.push_back(static_cast<std::uint32_t>(i));
  }
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

/// What of a buffer has to come to host memory for a use, or to the chip.
void Directory::add_missing(const Entry& entry, const PartUse& use, std::int32_t executor,
                            const TaskRequest& request, Needs& needs) const {
  const bool alone = request.depends.empty();
  // What follows its writer in the queue of the chip is not content with what was before it.
  const auto good = [&](const Part& part) {
    return home_is_good(part) && (part.newest != executor || alone);
  };
  const auto want = [&](const Part& part, bool only_that) {
    needs.home.push_back({use.buffer->shared_from_this(), part.piece.number,
                          only_that ? std::optional(use.box) : std::nullopt});
  };
  const auto* mine = use.at_home ? nullptr : used(entry, use, executor);
  if (mine != nullptr) {
    // What is on its way home is not to be written by another meanwhile.
    const bool busy = mine->moves() && mine->newest != executor;
    const bool has = mine->has_newest(executor);
    // Another member of its group may write elsewhere in the piece, where that is the newest, before it goes.
    const bool stays = mine->newest == executor || (has && !others_write(request, *use.buffer));
    if (busy || (use.reads && !stays && !good(*mine))) {
      want(*mine, false);
      if (!busy && !has && goes_directly(*mine, use, executor, request.retries))
        needs.home.back().to = executor;
    }
    if (!use.writes || !entry.nested) return;
  }
  const bool at_home_already =
      !use.writes && std::any_of(entry.parts.begin(), entry.parts.end(), [&](const Part& part) {
        return part.newest < 0 && !part.lost && !part.moves() && runtime::covers(part.piece.box, use.box);
      });
  if (at_home_already) return;
  for (const auto& part : entry.parts) {
    if (&part == mine || (part.newest < 0 && !part.moves()) || !use.meets(part.piece.box)) continue;
    bool wanted = true;
    if (!part.moves() && use.writes) {
      // A writer at home may not run in the end: what was before it has to be somewhere.
      wanted = use.at_home || use.reads || !runtime::covers(use.box, part.piece.box);
    } else if (!part.moves()) {
      wanted = !good(part);
    }
    if (wanted)
      want(part, !use.writes && !part.moves() && runtime::covers(part.piece.box, use.box) &&
                     part.piece.box != use.box);
  }
}

std::int32_t Directory::nearest(const Arguments& args) const {
  std::int32_t chosen = -1;
  std::uint64_t most = worth_staying - 1;
  for (const auto& operand : args.tensors) {
    if (operand.buffer == nullptr || operand.tensor.bytes() <= most || operand.tag == runtime::Tag::out ||
        operand.tag == runtime::Tag::out_existing) {
      continue;
    }
    const auto* known = find(*operand.buffer);
    if (known == nullptr || known->version != operand.buffer->version()) continue;
    const auto box = box_of(operand);
    for (const auto& part : known->parts) {
      if (part.newest < 0 || !runtime::covers(part.piece.box, box)) continue;
      chosen = part.newest;
      most = operand.tensor.bytes();
    }
  }
  return chosen;
}

std::uint64_t Directory::present(const Arguments& args, std::vector<std::uint64_t>& on_chips) const {
  std::uint64_t reads = 0;
  for (const auto& operand : args.tensors) {
    if (operand.buffer == nullptr || !runtime::reads(operand.tag)) continue;
    const auto bytes = operand.tensor.bytes();
    reads += bytes;
    const auto* known = find(*operand.buffer);
    if (known == nullptr || known->version != operand.buffer->version()) continue;
    const auto box = box_of(operand);
    // More than one piece with all of it: it is there once.
    std::vector<std::int32_t> counted;
    for (const auto& part : known->parts) {
      if (part.lost || !runtime::covers(part.piece.box, box)) continue;
      for (const auto chip : part.copies) {
        const bool good = part.newest < 0 || part.has_newest(chip);
        if (!good || std::find(counted.begin(), counted.end(), chip) != counted.end()) continue;
        counted.push_back(chip);
        on_chips[static_cast<std::size_t>(chip)] += bytes;
      }
    }
  }
  return reads;
}

}  // namespace troupe::actors
