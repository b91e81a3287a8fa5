(** A region as an automaton without circles, one layer for each position: what can be read there and where it leads. *)

From Coq Require Import ZArith List.
From Compact Require Import Count.Counting Count.Packed.
Import ListNotations.
Open Scope nat_scope.

(** [tokens] with their weights, those of a symbol together; for each state of the position the [moves] that go on from
    it, the number of the symbol and that of the state that follows. *)
Record layer := Layer { tokens : list (list (nat * Z)); moves : list (list (nat * nat)) }.

(** All that can be read from a state on. At the end there is one state, 0. *)
Fixpoint paths (ls : list layer) (s : nat) : list (list (nat * Z)) :=
  match ls with
  | [] => if Nat.eqb s 0 then [[]] else []
  | l :: rest =>
      flat_map (fun m => flat_map (fun a => map (cons a) (paths rest (snd m))) (nth (fst m) (tokens l) []))
        (nth s (moves l) [])
  end.

(** ** Numbers for each state, from the last position back *)

Lemma nth_map_0 : forall (A : Type) (f : list A -> Z) l i, f [] = 0%Z -> nth i (map f l) 0%Z = f (nth i l []).
Proof. intros A f l i zero. rewrite <- zero at 1. apply map_nth. Qed.

(** A sum over paths, by what they begin with. *)
Lemma sum_over_paths : forall (f : list (nat * Z) -> Z) l rest s,
  add_up (map f (paths (l :: rest) s)) =
  add_up (map (fun m => add_up (map (fun a => add_up (map (fun x => f (a :: x)) (paths rest (snd m)))) (nth (fst m) (tokens l) [])))
    (nth s (moves l) [])).
Proof.
  intros f l rest s. cbn [paths]. induction (nth s (moves l) []) as [|m ms IH]; [reflexivity|]. cbn [flat_map map add_up].
  rewrite map_app, add_up_app, IH. f_equal. clear IH.
  induction (nth (fst m) (tokens l) []) as [|a row IH]; [reflexivity|]. cbn [flat_map map add_up].
  now rewrite map_app, add_up_app, IH, map_map.
Qed.
