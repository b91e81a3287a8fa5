(** rules.md, Regions and automata: a group cuts the inputs of one label into parts, by a deterministic automaton. *)

From Coq Require Import ZArith List Bool.
From Compact Require Import Count.Packed Regions.Inputs.
Import ListNotations.
Open Scope nat_scope.

(** [symbols] has what the automaton reads for each token, [next] for each state and symbol the state that follows, if
    any; it starts in state 0. [parts] has the part of the inputs that end in a state, if any. [queries] and each of
    [rivals], the classes of wrong outputs to watch, are bit masks. *)
Record group := Group { label_of : nat; queries : Z; rivals : list Z;
  symbols : list nat; next : list (list (option nat)); parts : list (option nat) }.

Section Reading.
Variable g : group.

Definition symbol (t : nat) : nat := nth t (symbols g) 0.
Definition after (s a : nat) : option nat := nth a (nth s (next g) []) None.

(** The state after these tokens, if the reading does not end before. *)
Fixpoint follow (s : nat) (x : list nat) : option nat :=
  match x with
  | [] => Some s
  | t :: x' => match after s (symbol t) with Some s' => follow s' x' | None => None end
  end.

Definition part_of (x : list nat) : option nat :=
  match follow 0 x with Some s => nth s (parts g) None | None => None end.

Definition is_number (n : nat) (o : option nat) : bool := match o with Some m => Nat.eqb m n | None => false end.

(** The inputs with this token at the position [r], where the logits are read, and in this part. *)
Definition in_region (r query part : nat) (x : list nat) : bool := Nat.eqb query (nth r x 0) && is_number part (part_of x).

Definition asks (q : nat) : bool := Z.testbit (queries g) (Z.of_nat q).
End Reading.

Lemma is_number_eq : forall n o, is_number n o = true <-> o = Some n.
Proof.
  intros n [m|]; cbn [is_number]; [|split; discriminate]. rewrite Nat.eqb_eq. split; [now intros -> | now intros [= ->]].
Qed.

(** Lemma 5: of one group, regions that differ in their query or part have no input in common. *)
Lemma regions_apart : forall g r q part q' part' x, in_region g r q part x = true -> in_region g r q' part' x = true ->
  q = q' /\ part = part'.
Proof.
  unfold in_region. intros g r q part q' part' x A B. rewrite !andb_true_iff, !Nat.eqb_eq, !is_number_eq in *.
  destruct A as [-> A], B as [-> B]. split; congruence.
Qed.
