"""From results to grades and pages. Nothing is graded here, so changing points takes only seconds."""

from lib.errors import CourseError
from lib.grading.assignment.questions import questions
from lib.grading.results.gradebook import Gradebook, grades_csv, grades_json, page_name
from lib.grading.results.manual import MANUAL, manual_csv, read_manual
from lib.grading.results.store import Record, Store, write_text


def publish(store: Store, record: Record, *, remove: bool = False) -> list[str]:
    """Write grades.csv, grades.json, class.html, manual.csv, written.html and the students' pages.

    Returns the names of the pages in `students/` that belong to nobody in the record. They are kept, unless `remove`.
    Raises CourseError if a result is missing or manual.csv is faulty; then nothing is written.
    """
    from lib.grading.reports.class_report import class_page
    from lib.grading.reports.pages import student_page
    from lib.grading.reports.written import written_page

    assignment, planned = record.assignment, record.submissions
    results = {(each.student, each.notebook): store.read_result(each) for each in planned}
    missing = sum(result is None for result in results.values())
    if missing:
        raise CourseError(f"{missing} results are still missing in {store.out}; let `course grade` finish first")
    students = assignment.students(each.student for each in planned)
    filled = read_manual(store.out / MANUAL, assignment.items, students)
    book = Gradebook(assignment.items, students, results, filled.points, record.not_taken)
    pages = {f"{page_name(student)}.html": student for student in students}
    for name, student in pages.items():
        write_text(store.out / "students" / name, student_page(book, student))
    write_text(store.out / "class.html", class_page(book))
    asked = questions(book.items)
    if table := manual_csv(book, filled, asked):
        write_text(store.out / MANUAL, table)
    if page := written_page(book, asked):
        write_text(store.out / "written.html", page)
    write_text(store.out / "grades.json", grades_json(book))
    write_text(store.out / "grades.csv", grades_csv(book))
    others = sorted(path for path in (store.out / "students").glob("*.html") if path.name not in pages)
    for path in others if remove else ():
        path.unlink()
    return [path.name for path in others]
