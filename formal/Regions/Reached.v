(** All inputs are read at once: the states of an automaton, and what the inputs weigh that lead to each. *)

From Coq Require Import ZArith List Lia.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs.
Import ListNotations.
Open Scope Z_scope.

Section States.
Context {State : Type}.
Variables same before : State -> State -> bool.
Hypothesis same_eq : forall s s', same s s' = true -> s = s'.

(** A sum over states of a number, times the weight. *)
Definition total_of (f : State -> Z) (found : list (State * Z)) : Z := add_up (map (fun b => snd b * f (fst b)) found).

(** Of two sorted lists one, in which equal states are one. (Nothing depends on the order but the time it takes.) *)
Fixpoint merge (a : list (State * Z)) : list (State * Z) -> list (State * Z) :=
  match a with
  | [] => fun b => b
  | (s, w) :: a' =>
      fix merge_a (b : list (State * Z)) : list (State * Z) :=
        match b with
        | [] => a
        | (s', w') :: b' =>
            if same s s' then (s, w + w') :: merge a' b' else if before s s' then (s, w) :: merge a' b else (s', w') :: merge_a b'
        end
  end.

Lemma total_of_merge : forall f a b, total_of f (merge a b) = total_of f a + total_of f b.
Proof.
  intros f. unfold total_of. induction a as [|[s w] a IH]; intros b; [reflexivity|].
  induction b as [|[s' w'] b IHb]; [cbn [merge map add_up]; lia|]. cbn [merge].
  destruct (same s s') eqn:E.
  - apply same_eq in E. subst s'. cbn [map add_up fst snd]. rewrite IH. lia.
  - destruct (before s s'); cbn [map add_up fst snd].
    + rewrite IH. cbn [map add_up fst snd]. lia.
    + change (((fix merge_a (b : list (State * Z)) : list (State * Z) :=
        match b with [] => (s, w) :: a | (s', w') :: b' =>
          if same s s' then (s, w + w') :: merge a b' else if before s s' then (s, w) :: merge a b else (s', w') :: merge_a b' end) b))
        with (merge ((s, w) :: a) b). rewrite IHb. cbn [map add_up fst snd]. lia.
Qed.

(** Neighbours are merged, until one list is left; [n] is no less than the number of rounds. *)
Fixpoint merge_pairs (l : list (list (State * Z))) : list (list (State * Z)) :=
  match l with a :: b :: rest => merge a b :: merge_pairs rest | _ => l end.

Fixpoint merge_all (n : nat) (l : list (list (State * Z))) : list (State * Z) :=
  match l, n with
  | [], _ => []
  | [a], _ => a
  | _, S n' => merge_all n' (merge_pairs l)
  | _, O => concat l
  end.

Definition totals_of (f : State -> Z) (l : list (list (State * Z))) : Z := add_up (map (total_of f) l).

Lemma total_of_app : forall f a b, total_of f (a ++ b) = total_of f a + total_of f b.
Proof. intros. unfold total_of. now rewrite map_app, add_up_app. Qed.

Lemma totals_of_pairs : forall f l, totals_of f (merge_pairs l) = totals_of f l.
Proof.
  intros f. unfold totals_of. fix IH 1. intros [|a [|b l]]; [reflexivity | reflexivity|]. cbn [merge_pairs map add_up].
  rewrite total_of_merge, (IH l). lia.
Qed.

Lemma total_of_all : forall f n l, total_of f (merge_all n l) = totals_of f l.
Proof.
  assert (C : forall f l, total_of f (concat l) = totals_of f l).
  { intros f. unfold totals_of. induction l as [|a l IH]; [reflexivity|]. cbn [concat map add_up]. now rewrite total_of_app, IH. }
  induction n as [|n IH]; intros [|a [|b l]]; try reflexivity; try (unfold totals_of; cbn [merge_all map add_up]; lia).
  - apply C.
  - cbn [merge_all]. now rewrite IH, totals_of_pairs.
Qed.

(** Each state once. *)
Definition gather (found : list (State * Z)) : list (State * Z) := merge_all 64 (map (fun b => [b]) found).

Lemma total_of_gather : forall f found, total_of f (gather found) = total_of f found.
Proof.
  intros f found. unfold gather. rewrite total_of_all. unfold totals_of, total_of. rewrite map_map. cbn [map add_up]. f_equal.
  apply map_ext. intros. lia.
Qed.

Variable step : nat -> nat -> State -> option State.  (** position, token *)

Fixpoint run (p : nat) (s : State) (x : list nat) : option State :=
  match x with
  | [] => Some s
  | t :: x' => match step p t s with Some s' => run (S p) s' x' | None => None end
  end.

(** The states after the last position, with the weight of the inputs that lead there. *)
Fixpoint reached (p : nat) (rows : choices) (found : list (State * Z)) : list (State * Z) :=
  match rows with
  | [] => found
  | row :: rest =>
      reached (S p) rest (gather (flat_map (fun a =>
        flat_map (fun b => match step p (fst a) (fst b) with Some s => [(s, snd b * snd a)] | None => [] end) found) row))
  end.

Definition at_end (f : State -> Z) (o : option State) : Z := match o with Some s => f s | None => 0 end.

Lemma reached_right : forall rows p f found,
  total_of f (reached p rows found) = total_of (fun s => sum_of (fun x => at_end f (run p s x)) rows) found.
Proof.
  induction rows as [|row rest IH]; intros p f found; cbn [reached].
  - unfold total_of. f_equal.
  - rewrite IH, total_of_gather. clear IH. set (after := fun s => sum_of _ rest).
    assert (G : forall s, sum_of (fun x => at_end f (run p s x)) (row :: rest) =
      add_up (map (fun a => snd a * at_end after (step p (fst a) s)) row)).
    { intros s. cbn [sum_of run]. f_equal. apply map_ext. intros a. f_equal. destruct (step p (fst a) s); [reflexivity|]. apply sum_of_0. }
    unfold total_of at 2. erewrite map_ext by (intros; rewrite G; reflexivity). clear G.
    induction row as [|a row IH]; cbn [flat_map].
    + cbn [map add_up]. induction found as [|b found IHf]; [reflexivity|]. cbn [map add_up].
      rewrite <- IHf. unfold total_of. cbn. lia.
    + rewrite total_of_app, IH. clear IH. cbn [map add_up].
      erewrite (map_ext (fun b => snd b * (_ + _))) by (intros; rewrite Z.mul_add_distr_l; reflexivity).
      rewrite add_up_plus. f_equal. unfold total_of.
      induction found as [|b found IHf]; [reflexivity|]. cbn [flat_map map add_up]. rewrite map_app, add_up_app, IHf. f_equal.
      destruct (step p (fst a) (fst b)); cbn [map add_up at_end fst snd]; lia.
Qed.
End States.
