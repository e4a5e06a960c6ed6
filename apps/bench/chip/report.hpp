#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace troupe::bench {

/// What one system did in one row: of several runs.
struct Sample {
  std::vector<double> runs;
  double median() const;
  double least() const;
  double most() const;
};

/// One graph or pattern, in the order of the systems; the first of them is ours.
struct Row {
  std::string name;
  std::uint64_t kernel_ns = 0;
  std::vector<Sample> systems;
  /// Ours ÷ the best of the peers that are compared with; 0: there are none.
  double ratio(const std::vector<bool>& compared) const;
};

/// Tables and JSON of what was measured: the bad rows first, and what they were compared with.
class Report {
 public:
  Report(std::vector<std::string> systems, std::vector<bool> compared)
      : systems_(std::move(systems)), compared_(std::move(compared)) {}

  void add(Row row) { rows_.push_back(std::move(row)); }
  void add_metg(Row row) { metg_.push_back(std::move(row)); }
  void print() const;
  /// False: the file cannot be written.
  bool write(const std::string& file, const std::string& how) const;

 private:
  void print_table(const char* first, std::vector<Row> rows, const char* format) const;
  std::string json_of(const std::vector<Row>& rows) const;

  std::vector<std::string> systems_;
  std::vector<bool> compared_;
  std::vector<Row> rows_, metg_;
};

}  // namespace troupe::bench
