#include "nodes/ranks.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "errc.hpp"

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

struct Announced {
  int of = 0;
  std::string address;
};
/// None: it has not come, or not as a whole.
std::optional<Announced> read_announcement(const std::string& file) {
  std::ifstream from(file);
  Announced one;
  std::string end;
  if (!(from >> one.of >> one.address >> end) || end != "." || one.of < 1 || one.of > most_ranks)
    return std::nullopt;
  return one;
}

/// Once all of them are there.
Result<std::vector<std::string>> announced_in(const std::string& folder) {
  constexpr std::chrono::milliseconds between(50);
  const auto until = std::chrono::steady_clock::now() + time_for_ranks;
  for (;;) {
    const auto first = read_announcement(file_of(folder, 0));
    std::vector<std::string> addresses;
    std::string missing = first ? "" : "0";
    for (int rank = 0; first && rank < first->of; ++rank) {
      auto one = read_announcement(file_of(folder, rank));
      // One of another number is left from before.
      if (one && one->of == first->of) {
        addresses.push_back(std::move(one->address));
      } else {
        missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
      }
    }
    if (missing.empty()) return addresses;
    if (std::chrono::steady_clock::now() >= until) {
      return Error(Errc::cannot_read,
                   "no node of rank " + missing + " has announced itself in \"" + folder + "\"",
                   "mpirun … troupe node --ranks " + folder + " starts them");
    }
    std::this_thread::sleep_for(between);
  }
}

}  // namespace

std::optional<Rank> rank_of_launcher() {
  // In a batch job of Slurm mpirun sets its own beside those of the job, which are then not about it.
  constexpr std::array<std::array<const char*, 3>, 3> launchers{{
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
      {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
      {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"},
  }};
  for (const auto& [rank, size, local] : launchers) {
    const auto number = number_in(rank, 0), of = number_in(size, 1);
    if (number && of && *number < *of) return Rank{*number, *of, number_in(local, 0).value_or(0)};
  }
  return std::nullopt;
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
  std::ofstream(fresh) << text;
  std::error_code problem;
  fs::rename(fresh, file, problem);
  if (!problem) return Announcement(file, text);
  fs::remove(fresh, problem);
  return Error(Errc::cannot_write, "cannot write \"" + file + "\"",
               "the folder has to be there, and to be yours");
}

Announcement::Announcement(Announcement&& other) noexcept
    : file_(std::exchange(other.file_, {})), text_(std::move(other.text_)) {}

Announcement::~Announcement() {
  if (file_.empty()) return;
  std::ostringstream now;
  now << std::ifstream(file_).rdbuf();
  std::error_code ignored;
  if (now.str() == text_) fs::remove(file_, ignored);  // else it is of one that came later
}

Result<std::vector<std::string>> hosts_found(const std::vector<std::string>& given) {
  std::vector<std::string> hosts;
  for (const auto& host : given) {
    if (!host.starts_with('@')) {
      hosts.push_back(host);
      continue;
    }
    const auto there = announced_in(host.substr(1));
    if (!there) return there.error();
    hosts.insert(hosts.end(), there->begin(), there->end());
  }
  return hosts;
}

}  // namespace troupe::apps
