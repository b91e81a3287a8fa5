"""What a model is asked: weighted inputs, the right answer to each, and where the answer is read."""

from certgen.problem.inputs import Weighted
from certgen.problem.problem_file import MaxOfK, Problem, load_problem, max_of_k
from certgen.problem.task import Task

__all__ = ["MaxOfK", "Problem", "Task", "Weighted", "load_problem", "max_of_k"]
