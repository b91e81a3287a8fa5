(** rules.md, Lemma 5: both automata, of a group and of the label, read all inputs side by side. *)

From Coq Require Import ZArith List Lia Bool Arith.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Building Regions.Listing Regions.Reached.
Import ListNotations.
Open Scope Z_scope.

Section Labels.
Context {State : Type}.
Variables (start : State) (step : nat -> nat -> State -> State) (output : State -> nat).  (** position, token *)
Variables same before : State -> State -> bool.
Hypothesis same_eq : forall s s', same s s' = true -> s = s'.

(** The state after the tokens from position [p] on. *)
Fixpoint read (p : nat) (s : State) (x : list nat) : State :=
  match x with [] => s | t :: x' => read (S p) (step p t s) x' end.

Definition label (x : list nat) : nat := output (read 0 start x).

(** ** What inputs with a label weigh *)

Definition step_label (p t : nat) (s : State) : option State := Some (step p t s).

Definition label_weights (c : choices) : list (nat * Z) :=
  map (fun b => (output (fst b), snd b)) (reached same before step_label 0 c [(start, 1)]).

Definition weight_of_label (found : list (nat * Z)) (l : nat) : Z :=
  add_up (map (fun b => if Nat.eqb (fst b) l then snd b else 0) found).

Lemma run_label : forall x p s, run step_label p s x = Some (read p s x).
Proof. induction x as [|t x IH]; intros p s; [reflexivity|]. cbn [run read step_label]. apply IH. Qed.

Theorem weight_of_label_right : forall c l, weight_of_label (label_weights c) l = weigh (fun x => Nat.eqb (label x) l) c.
Proof.
  intros c l. unfold weight_of_label, label_weights. rewrite map_map. cbn [fst snd].
  transitivity (total_of (fun s => one_if (Nat.eqb (output s) l)) (reached same before step_label 0 c [(start, 1)])).
  - unfold total_of, one_if. f_equal. apply map_ext. intros b. destruct (Nat.eqb (output (fst b)) l); lia.
  - rewrite reached_right by assumption. unfold total_of, weigh. cbn [map add_up fst snd]. rewrite Z.add_0_r, Z.mul_1_l.
    apply sum_of_ext. intros x _. now rewrite run_label.
Qed.

(** ** Whether a group has one label *)

Variables (r : nat) (c : choices) (g : group).

Definition step_both (p t : nat) (s : nat * State) : option (nat * State) :=
  match after g (fst s) (symbol g t) with Some own => Some (own, step p t (snd s)) | None => None end.

Definition same_pair (a b : nat * State) : bool := Nat.eqb (fst a) (fst b) && same (snd a) (snd b).
Definition pair_before (a b : nat * State) : bool :=
  Nat.ltb (fst a) (fst b) || Nat.eqb (fst a) (fst b) && before (snd a) (snd b).

Definition fits (s : nat * State) : bool :=
  match nth (fst s) (parts g) None with Some _ => Nat.eqb (output (snd s)) (label_of g) | None => true end.

Definition labels_fit : bool :=
  forallb (fun b => fits (fst b)) (reached same_pair pair_before step_both 0 (restrict (asks g) r c) [((0%nat, start), 1)]).

Lemma same_pair_eq : forall a b, same_pair a b = true -> a = b.
Proof.
  intros [a s] [b s'] E. apply andb_prop in E. cbn [fst snd] in E. destruct E as [E F]. apply Nat.eqb_eq in E. apply same_eq in F. congruence.
Qed.

Lemma run_both : forall x p own s,
  run step_both p (own, s) x = match follow g own x with Some own' => Some (own', read p s x) | None => None end.
Proof.
  induction x as [|t x IH]; intros p own s; [reflexivity|]. cbn [run follow read]. unfold step_both at 1. cbn [fst snd].
  destruct (after g own (symbol g t)); [apply IH | reflexivity].
Qed.

Hypothesis r_small : (r < length c)%nat.
Hypothesis weights_positive : positive c.

Theorem labels_fit_right : labels_fit = true -> forall x p, In x (inputs c) -> asks g (nth r x 0%nat) = true -> part_of g x = Some p ->
  label x = label_of g.
Proof.
  intros F x p I A P. unfold part_of in P. destruct (follow g 0 x) as [own|] eqn:E; [|discriminate].
  set (rows := restrict (asks g) r c).
  enough (Z : weigh (fun x => match run step_both 0 (0%nat, start) x with Some s => negb (fits s) | None => false end) rows = 0).
  { apply weigh_0 with (x := x) in Z.
    - rewrite run_both, E in Z. unfold fits in Z. cbn [fst snd] in Z. rewrite P in Z. apply negb_false_iff in Z. now apply Nat.eqb_eq.
    - now apply restrict_positive.
    - now apply in_restrict. }
  transitivity (total_of (fun s => one_if (negb (fits s))) (reached same_pair pair_before step_both 0 rows [((0%nat, start), 1)])).
  - rewrite reached_right by apply same_pair_eq. unfold total_of, weigh. cbn [map add_up fst snd]. rewrite Z.add_0_r, Z.mul_1_l.
    apply sum_of_ext. intros y _. now destruct (run step_both 0 (0%nat, start) y).
  - unfold labels_fit in F. fold rows in F. unfold total_of. induction (reached _ _ _ _ _ _) as [|b l IH]; [reflexivity|].
    cbn [forallb] in F. apply andb_prop in F. destruct F as [F1 F2]. cbn [map add_up]. rewrite (IH F2), F1. cbn. lia.
Qed.

(** ** Whether a group is well formed *)

Variables vocabulary outputs : nat.

Definition in_range (n : nat) (o : option nat) : bool := match o with Some s => Nat.ltb s n | None => true end.

Definition automaton_fits : bool :=
  let states := length (next g) in
  let read := length (hd [] (next g)) in
  forallb (fun a => Nat.ltb a read) (symbols g) &&
  forallb (fun row => Nat.eqb (length row) read && forallb (in_range states) row) (next g) &&
  Nat.eqb (length (symbols g)) vocabulary && Nat.eqb (length (parts g)) states.

Definition others : Z := Z.ones (Z.of_nat outputs) - Z.shiftl 1 (Z.of_nat (label_of g)).

(** A set of outputs other than the label, not empty. *)
Definition watches (mask : Z) : bool := (0 <? mask) && (Z.land mask others =? mask).

(** A set of tokens of positive weight, not empty. *)
Definition queries_fit : bool :=
  (0 <? queries g) && (queries g =? fold_right (fun q mask => Z.lor (Z.shiftl 1 (Z.of_nat q)) mask) 0 (queries_of r c g)).

Definition valid : bool :=
  automaton_fits && Nat.ltb (label_of g) outputs && forallb watches (rivals g) && queries_fit && labels_fit.

(** Lemma 5. *)
Theorem valid_label : valid = true -> forall x p, In x (inputs c) -> asks g (nth r x 0%nat) = true -> part_of g x = Some p ->
  label x = label_of g.
Proof. intros V. apply labels_fit_right. unfold valid in V. rewrite !andb_true_iff in V. apply V. Qed.

Theorem valid_rivals : valid = true -> forall mask, In mask (rivals g) ->
  0 < mask /\ forall y, 0 <= y -> Z.testbit mask y = true -> y < Z.of_nat outputs /\ y <> Z.of_nat (label_of g).
Proof.
  intros V mask I. unfold valid in V. rewrite !andb_true_iff in V. destruct V as [[[[_ L] W] _] _].
  rewrite forallb_forall in W. specialize (W mask I). unfold watches in W. rewrite andb_true_iff, Z.ltb_lt, Z.eqb_eq in W.
  destruct W as [P E]. split; [assumption|]. intros y N B. rewrite <- E, Z.land_spec in B. apply andb_prop in B. destruct B as [_ B].
  apply Nat.ltb_lt in L. unfold others in B. rewrite Z.shiftl_1_l, Z.sub_nocarry_ldiff in B.
  - rewrite Z.ldiff_spec, Z.pow2_bits_eqb, Z.testbit_ones_nonneg in B by lia. apply andb_prop in B. destruct B as [B C].
    apply Z.ltb_lt in B. apply negb_true_iff, Z.eqb_neq in C. split; [assumption | congruence].
  - apply Z.bits_inj_0. intros i. rewrite Z.ldiff_spec. destruct (Z.lt_ge_cases i 0); [now rewrite !Z.testbit_neg_r|].
    rewrite Z.pow2_bits_eqb by lia. destruct (Z.eqb_spec (Z.of_nat (label_of g)) i) as [<-|_]; [|reflexivity].
    rewrite Z.testbit_ones_nonneg by lia. apply Nat2Z.inj_lt in L. apply Z.ltb_lt in L. now rewrite L.
Qed.
End Labels.
