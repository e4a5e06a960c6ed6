#include "nodes/ranks.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "errc.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::apps {
namespace {

namespace fs = std::filesystem;

constexpr int most_ranks = 4096;
/// How long the nodes of a folder may take until all of them are there.
constexpr std::chrono::seconds time_for_ranks(60);

std::optional<int> number_in(const char* variable, int least) {
  const char* const text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nobody changes it
  if (text == nullptr) return std::nullopt;
  int number = 0;
  const std::string_view digits = text;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool fine = read.ec == std::errc() && read.ptr == digits.data() + digits.size();
  if (!fine || number < least || number > most_ranks) return std::nullopt;
  return number;
}

std::string file_of(const std::string& folder, int rank) { return folder + "/node." + std::to_string(rank); }

/// As a whole; none: it is not there, or no file, or more than an announcement may be. Nobody waits for it:
/// anything may lie in a folder of many.
std::optional<std::string> read_small(const std::string& file) {
  const comm::FileDescriptor from(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat there {};
  if (!from.valid() || ::fstat(from.get(), &there) != 0 || !S_ISREG(there.st_mode)) return std::nullopt;
  std::array<char, 512> text{};
  std::size_t length = 0;
  while (length < text.size()) {
    const auto came = ::read(from.get(), text.data() + length, text.size() - length);
    if (came < 0 && errno == EINTR) continue;
    if (came < 0) return std::nullopt;
    if (came == 0) return std::string(text.data(), length);
    length += static_cast<std::size_t>(came);
  }
  return std::nullopt;
}

struct Announced {
  int of = 0;
  std::string address;
  bool operator==(const Announced&) const = default;
};
/// None: it has not come, or not as a whole.
std::optional<Announced> read_announcement(const std::string& file) {
  const auto text = read_small(file);
  if (!text) return std::nullopt;
  std::istringstream from(*text);
  Announced one;
  std::string end;
  if (!(from >> one.of >> one.address >> end) || end != "." || one.of < 1 || one.of > most_ranks)
    return std::nullopt;
  return one;
}

/// The nodes of a folder, as far as they have come.
class Ranks {
 public:
  using Clock = std::chrono::steady_clock;
  /// Nobody is asked after `until`.
  Ranks(std::string folder, const AsksNode& asks, Clock::time_point until)
      : folder_(std::move(folder)), asks_(asks), until_(until) {}

  /// Whether all are there; an error: they will not be.
  Result<bool> look() {
    const auto begun = Clock::now();
    const auto there = look_once();
    if (!there || !*there) return there;
    // One that has answered earlier may have been killed while others were waited for.
    bool all_now = true;
    for (auto& [rank, node] : nodes_) {
      if (node.asked >= begun) continue;
      node = {node.said};
      all_now = false;
    }
    return all_now ? there : look_once();
  }
  const std::vector<std::string>& addresses() const { return addresses_; }
  /// "1 (…), 3": those that are not there, and why.
  const std::string& missing() const { return missing_; }

 private:
  /// One that does not answer is asked so often.
  static constexpr std::chrono::seconds between_questions_{1};
  /// One that listens has so long to answer, and longer each time.
  static constexpr std::chrono::seconds for_an_answer_{1}, longest_for_an_answer_{5};
  struct Node {
    Announced said;
    bool answers = false;
    Clock::time_point asked = {};
    Clock::duration patience = for_an_answer_;
    std::string why_not = {};
  };

  Result<bool> look_once() {
    missing_.clear();
    addresses_.clear();
    auto first = is_there(0);
    if (!first) return first.error();
    const int of = *first ? nodes_[0].said.of : 0;
    for (int rank = 0; rank < of; ++rank) {
      auto one = is_there(rank, of);
      if (!one) return one.error();
      if (*one) addresses_.push_back(nodes_[rank].said.address);
    }
    return missing_.empty();
  }
  bool misses(int rank, const std::string& why) {
    missing_ += (missing_.empty() ? "" : ", ") + std::to_string(rank) + (why.empty() ? "" : " (" + why + ")");
    return false;
  }
  /// `of`: as many as the first says; 0: it is the first.
  Result<bool> is_there(int rank, int of = 0) {
    const auto said = read_announcement(file_of(folder_, rank));
    // One of another number is left from before.
    if (!said || (of != 0 && said->of != of)) return misses(rank, "");
    auto& node = nodes_[rank];
    if (node.said != *said) node = {*said};
    // So is one where another of them listens now.
    if (of != 0 && std::find(addresses_.begin(), addresses_.end(), said->address) != addresses_.end())
      return misses(rank, said->address + " is another's");
    if (node.answers) return true;
    if (const auto now = Clock::now();
        now < until_ && (node.asked == Clock::time_point() || now >= node.asked + between_questions_)) {
      const auto asked = asks_(said->address, std::min(node.patience, until_ - now));
      node.patience = std::min<Clock::duration>(2 * node.patience, longest_for_an_answer_);
      node.asked = Clock::now();
      node.answers = asked.has_value();
      if (!asked && asked.error() != platform::Errc::system) return asked.error();
      if (!asked) node.why_not = asked.error().message();
    }
    return node.answers || misses(rank, node.why_not);
  }

  const std::string folder_;
  const AsksNode& asks_;
  const Clock::time_point until_;
  std::map<int, Node> nodes_;
  std::vector<std::string> addresses_;
  std::string missing_;
};

/// Once all of them are there.
Result<std::vector<std::string>> announced_in(const std::string& folder, const AsksNode& asks,
                                              const std::function<void(const std::string&)>& says) {
  constexpr std::chrono::milliseconds between(50);
  const auto until = std::chrono::steady_clock::now() + time_for_ranks;
  Ranks ranks(folder, asks, until);
  for (bool said = false;; said = true) {
    const auto all = ranks.look();
    if (!all) return all.error();
    if (*all) return ranks.addresses();
    if (std::chrono::steady_clock::now() >= until) {
      return Error(Errc::cannot_read,
                   "not all nodes have announced themselves in \"" + folder +
                       "\" and answer there; missing is rank " + ranks.missing(),
                   "mpirun … troupe node --ranks " + folder + " starts them");
    }
    if (!said) says("waits for the nodes of \"" + folder + "\"; missing is rank " + ranks.missing());
    std::this_thread::sleep_for(between);
  }
}

std::string words_for(int number) { return std::generic_category().message(number); }

/// Empty, or why not.
std::string write_new(const std::string& file, const std::string& text) {
  (void)::unlink(file.c_str());  // of one that was killed
  comm::FileDescriptor to(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!to.valid()) return words_for(errno);
  for (std::size_t done = 0; done < text.size();) {
    const auto wrote = ::write(to.get(), text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return words_for(errno);
    done += static_cast<std::size_t>(wrote);
  }
  // A network's file system says late that there is no room.
  if (::fsync(to.get()) != 0 && errno != EINVAL) return words_for(errno);
  return ::close(to.release()) == 0 ? "" : words_for(errno);
}

}  // namespace

std::optional<Rank> rank_of_launcher() {
  // In a batch job of Slurm mpirun sets its own beside those of the job, which are then not about it.
  constexpr std::array<std::array<const char*, 3>, 4> launchers{{
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
      {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
      {"PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK"},
      {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"},
  }};
  std::optional<Rank> found;
  for (const auto& [rank, size, local] : launchers) {
    const auto number = number_in(rank, 0), of = number_in(size, 1), on_machine = number_in(local, 0);
    if (!number || !of || *number >= *of) continue;
    if (!found) found = Rank{*number, *of};
    // srun may say rank and size in words of PMI, and the number on the machine only in its own: who says the
    // same rank of the same size, speaks of the same launch.
    if (on_machine && *number == found->number && *of == found->of) {
      found->on_machine = *on_machine;
      break;
    }
  }
  return found;
}

Result<std::string> name_with_certificate(const std::string& folder) {
  std::array<char, 256> name{};
  (void)::gethostname(name.data(), name.size() - 1);
  const std::string full = name.data();
  std::error_code ignored;
  for (const auto& candidate : {full, full.substr(0, full.find('.'))}) {
    if (!candidate.empty() && fs::exists(folder + "/" + candidate + ".pem", ignored)) return candidate;
  }
  return Error(Errc::cannot_read,
               "there is no certificate for this machine in \"" + folder + "\": no " + full + ".pem",
               "troupe certs " + folder + " --node " + full);
}

Result<Announcement> Announcement::make(const std::string& folder, const Rank& rank,
                                        const std::string& address) {
  const auto file = file_of(folder, rank.number);
  const auto text = std::to_string(rank.of) + " " + address + " .\n";
  // It is there as a whole or not at all.
  const auto fresh = file + "." + std::to_string(::getpid());
  auto problem = write_new(fresh, text);
  if (problem.empty() && ::rename(fresh.c_str(), file.c_str()) != 0) problem = words_for(errno);
  if (problem.empty()) return Announcement(file, text);
  (void)::unlink(fresh.c_str());
  return Error(Errc::cannot_write, "cannot write \"" + file + "\": " + problem,
               "the folder has to be there, to be yours, and to have room");
}

Announcement::Announcement(Announcement&& other) noexcept
    : file_(std::exchange(other.file_, {})), text_(std::move(other.text_)) {}

Announcement::~Announcement() {
  if (file_.empty()) return;
  std::error_code ignored;
  if (read_small(file_) == text_) fs::remove(file_, ignored);  // else it is of one that came later
}

Result<std::vector<std::string>> hosts_found(const std::vector<std::string>& given, const AsksNode& asks,
                                             const std::function<void(const std::string&)>& says) {
  std::vector<std::string> hosts;
  for (const auto& host : given) {
    if (!host.starts_with('@')) {
      hosts.push_back(host);
      continue;
    }
    const auto there = announced_in(host.substr(1), asks, says);
    if (!there) return there.error();
    hosts.insert(hosts.end(), there->begin(), there->end());
  }
  return hosts;
}

}  // namespace troupe::apps
